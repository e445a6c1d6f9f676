"""kill -9 of the sending process, again and again: nobody is written to twice, nobody is lost."""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections import deque

import boto3
import pytest
from sqlalchemy import select, update

from core import accounts, limits
from core.app import App
from core.db.models import Account, Message, Worker
from core.limits import Speed
from tests.campaigning import addresses, counts, started, written_to
from tests.conftest import Cast, verified_sender
from tests.processes import start_work, work_until_idle
from tests.simulators import Simulator

KILLS = 10
AT_ONCE = 3  # schedulers
PER_SECOND = 250
RECIPIENTS = 2_600


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_ten_kills_in_mid_campaign_write_to_nobody_twice(
    app: App, simulator: Simulator, cast: Cast, request: pytest.FixtureRequest
) -> None:
    simulator.scenario(account={"max_send_rate": PER_SECOND})
    with app.db.begin() as session:
        session.execute(update(Account).values(checked_at=None))
    accounts.refresh_due(app)
    redeliver_soon(app)
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    people = addresses(RECIPIENTS)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    moments = random.Random(request.node.name)
    kill_one_after_the_other(app, moments)
    work_until_idle(app)

    accepted = written_to(simulator.messages())
    assert max(accepted.values()) == 1, "nobody is written to twice"
    states = counts(app, cast.acme.id, campaign_id)
    assert sum(states.values()) == RECIPIENTS
    assert set(states) <= {"delivered", "unknown"}
    with app.db.read() as session:
        unknown = session.execute(
            select(Message.address_key, Message.reason).where(Message.status == "unknown")
        ).all()
    assert all(row.reason for row in unknown)
    never_accepted = [row.address_key for row in unknown if row.address_key not in accepted]
    assert len(unknown) == len(never_accepted), "what SES accepted, its events have settled"
    waiting = limits.waiting(Speed(PER_SECOND, PER_SECOND // 10))
    assert len(never_accepted) <= KILLS * 2 * waiting, "what waits for its moment, and what is on its way"
    assert set(people) == set(accepted) | set(never_accepted), "nobody is lost"


def redeliver_soon(app: App) -> None:
    """What a killed process had received comes again after two seconds instead of a minute, and however
    often: only so that the test need not wait."""
    with app.db.read() as session:
        queue_url = session.scalars(select(Account.queue_url)).one()
    sqs = boto3.client("sqs")
    asked = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["RedrivePolicy"])
    redrive = json.loads(asked["Attributes"]["RedrivePolicy"]) | {"maxReceiveCount": 1000}
    attributes = {"VisibilityTimeout": "2", "RedrivePolicy": json.dumps(redrive)}
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes=attributes)


def kill_one_after_the_other(app: App, moments: random.Random) -> None:
    """Each a random moment after it has claimed something, as a power cut would; the next ones send or start
    meanwhile."""
    living: deque[subprocess.Popen[bytes]] = deque()
    for number in range(KILLS):
        while len(living) < min(AT_ONCE, KILLS - number):
            living.append(start_work(app, "--seconds", "60"))
        process = living.popleft()
        deadline = time.monotonic() + 30
        while not has_claimed(app, process.pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(moments.uniform(0.05, 0.4))
        process.kill()
        process.wait()


def has_claimed(app: App, pid: int) -> bool:
    armed = select(Message.id).join(Worker, Worker.name == Message.worker).where(Worker.pid == pid).limit(1)
    with app.db.read() as session:
        return session.scalar(armed) is not None
