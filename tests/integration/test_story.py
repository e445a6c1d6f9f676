"""The whole loop: a real list goes out, comes back, suppresses, pauses; counts equal what SES logged."""

from __future__ import annotations

import csv
import html
import io
from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from core import accounts, campaigns, suppressions
from core.access import Actor
from core.app import App
from core.db.models import Account, Message, Tenant
from tests.campaigning import addresses, counts, started, view, written_to
from tests.conftest import DATA, Cast, verified_sender
from tests.processes import work_until_idle
from tests.simulators import Simulator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

STATUS_OF_OUTCOME = {
    "delivery": "delivered",
    "bounce": "bounced",
    "transient": "bounced",
    "complaint": "complained",
    "suppressed": "suppressed",
}


def set_rate(app: App, simulator: Simulator, per_second: int) -> None:
    simulator.scenario(account={"max_send_rate": per_second})
    with app.db.begin() as session:
        session.execute(update(Account).values(checked_at=None))
    accounts.refresh_due(app)


def most_in_a_second(messages: list[dict[str, Any]]) -> int:
    times = sorted(datetime.fromisoformat(message["time"]).timestamp() for message in messages)
    most = first = 0
    for last, time in enumerate(times):
        while time - times[first] >= 1:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize(
    ("database_url", "count"),
    [
        pytest.param("sqlite", 2_000, id="sqlite"),
        pytest.param("postgresql", 10_000, id="postgresql", marks=pytest.mark.postgresql),
    ],
    indirect=["database_url"],
)
def test_thousands_of_people_in_many_scripts_go_through_whole(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, count: int
) -> None:
    set_rate(app, simulator, 1000)
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    upload = b"".join((DATA / "recipients_10k.csv").read_bytes().splitlines(keepends=True)[: count + 1])
    people = {row["email"].lower(): row for row in csv.DictReader(io.StringIO(upload.decode()))}
    suppressed, complaining, *_ = people
    # Few complain: here they do at once, while hours are expected, and four would be many for the mail that
    # is old enough.
    simulator.scenario(
        default={"bounce": 0.01},
        domains={"gmail.example.com": {"bounce": 0.02}},
        addresses={complaining: "complaint"},
    )
    created = campaigns.create(
        app, cast.bob, cast.acme.id, name="Winter", sender_id=sender.id, csv=upload, filename="list.csv",
        subject="News for {{first_name}}", html="<p>Dear {{first_name}} {{last_name}} of {{company}}</p>",
        text="Dear {{first_name}} {{last_name}} of {{company}}",
    )  # fmt: skip
    assert (created.accepted, created.rejected, created.duplicates) == (count, [], [])
    suppressions.add(app, alice, cast.acme.id, suppressed)
    campaigns.start(app, cast.bob, cast.acme.id, created.campaign_id)
    work_until_idle(app)

    mail = simulator.messages(tenant="acme")
    with app.db.read() as session:
        rows = session.execute(select(Message.address_key, Message.status)).all()
    ours = {row.address_key: row.status for row in rows}
    expected = {message["to"].lower(): STATUS_OF_OUTCOME[message["outcome"]] for message in mail}
    assert ours == {suppressed: "suppressed", **expected}
    assert set(counts(app, cast.acme.id, created.campaign_id)) == {
        "delivered", "bounced", "complained", "suppressed",
    }  # fmt: skip
    assert max(written_to(mail).values()) == 1
    assert most_in_a_second(mail) <= 1000
    for message in mail:
        person = people[message["to"].lower()]
        whole_name = f"Dear {person['first_name']} {person['last_name']} of {person['company']}"
        assert message["subject"] == f"News for {person['first_name']}"
        assert message["text"] == whole_name
        assert html.escape(whole_name, quote=True) in message["html"]
    assert suppressed_addresses(app, cast, alice) == {
        address for address, status in ours.items() if status != "delivered"
    }


def suppressed_addresses(app: App, cast: Cast, alice: Actor) -> set[str]:
    lines = "".join(suppressions.export_csv(app, alice, cast.acme.id))
    return {row["address"] for row in csv.DictReader(io.StringIO(lines))}


def test_a_tenant_whose_list_bounces_is_paused_and_the_others_go_on(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    set_rate(app, simulator, 60)
    simulator.scenario(domains={"bought.example.net": {"bounce": 0.2}})
    bad = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    good = verified_sender(app, simulator, cast.globex.id, "post@globex-post.net")
    bought = started(app, cast.acme.id, bad.id, addresses(800, "bought.example.net"))
    fine = started(app, cast.globex.id, good.id, addresses(400))
    work_until_idle(app)

    with app.db.read() as session:
        acme, globex = session.get_one(Tenant, cast.acme.id), session.get_one(Tenant, cast.globex.id)
    assert acme.sending_status == "DISABLED"
    assert "ounce rate" in (acme.paused_reason or "")
    assert globex.sending_status == "ENABLED"
    assert counts(app, cast.globex.id, fine) == {"delivered": 400}
    held = view(app, cast.acme.id, bought)
    assert held.counts["pending"] > 400, "its queued mail stays"
    assert held.recipients == 800
    assert Counter(message["tenant"] for message in simulator.messages())["acme"] < 400


def test_ses_is_told_of_the_pause(app: App, simulator: Simulator, cast: Cast) -> None:
    set_rate(app, simulator, 50)
    simulator.scenario(domains={"bought.example.net": {"bounce": 1.0}})
    bad = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    started(app, cast.acme.id, bad.id, addresses(200, "bought.example.net"))
    work_until_idle(app)
    provider = app.providers.email(app.settings.region)
    assert provider.get_tenant("acme").sending_status == "DISABLED"
