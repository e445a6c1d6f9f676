"""What the simulator keeps: nothing it acknowledged is lost to a kill, and all comes back after a stop."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.contract.simulator_clients import Clients
from tests.simulators import ROOT, running_simulator


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path


def prepare(clients: Clients) -> None:
    """A tenant with mail in every stage: told and deleted, in the queue, still to be told."""
    clients.ready()
    clients.simulator.advance_clock(3600)
    clients.simulator.scenario(account={"max_send_rate": 5000}, addresses={"gone@example.net": "bounce"})
    clients.send("first@example.com")
    clients.records(2)
    clients.bulk(*(f"r{number}@example.com" for number in range(49)), "gone@example.net")
    clients.sqs.create_queue(QueueName="dead")
    dead = clients.sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    clients.sqs.send_message(QueueUrl=dead, MessageBody="poison")


def onboard(clients: Clients) -> None:
    """What is kept beside mail: findings, a review, the older API's record, how long a record lives."""
    simulator = clients.simulator
    simulator.tenant("acme", aws_status="ENABLED", findings=[{"type": "BOUNCE", "impact": "LOW"}])
    simulator.scenario(account={"production_access": False}, control_calls_per_second=50_000)
    clients.ses.put_account_details(MailType="MARKETING", WebsiteURL="https://acme-mail.io")
    simulator.scenario(account={"review": "DENIED"})
    token = clients.older.verify_domain_identity(Domain="globex-post.net")["VerificationToken"]
    simulator.put_dns([{"type": "TXT", "name": "_amazonses.globex-post.net", "value": token, "ttl": 7200}])


def assert_onboarded(clients: Clients) -> None:
    [finding] = clients.ses.list_recommendations()["Recommendations"]
    assert (finding["Type"], finding["Status"], finding["Impact"]) == ("BOUNCE", "OPEN", "LOW")
    account = clients.ses.get_account()
    assert account["Details"]["ReviewDetails"]["Status"] == "DENIED"
    assert not account["ProductionAccessEnabled"]
    identity = clients.ses.get_email_identity(EmailIdentity="globex-post.net")
    assert (identity["VerificationStatus"], identity["DkimAttributes"]["Status"]) == (
        "SUCCESS",
        "NOT_STARTED",
    )
    held = clients.simulator.call("GET", "/_sim/dns")
    assert [each["ttl"] for each in held if each["type"] == "TXT"] == [7200]
    assert clients.simulator.call("GET", "/_sim/scenario")["control_calls_per_second"] == 50_000


@pytest.mark.slow
def test_a_killed_simulator_takes_up_where_it_was(data: Path) -> None:
    with running_simulator(data) as (simulator, process):
        clients = Clients.of(simulator)
        prepare(clients)
        onboard(clients)
        before = simulator.messages()
        time.sleep(0.3)  # topics and queues are saved a tenth of a second after they change
        now = simulator.call("POST", "/_sim/clock", {"advance_seconds": 0})["now"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    with running_simulator(data) as (simulator, _):
        clients = Clients.of(simulator)
        clients.queue = clients.sqs.get_queue_url(QueueName="events")["QueueUrl"]
        assert simulator.messages() == before
        assert simulator.call("POST", "/_sim/clock", {"advance_seconds": 0})["now"] > now
        told = {(each["eventType"], each["mail"]["destination"][0]) for each in clients.records(100)}
        assert {("Send", f"r{number}@example.com") for number in range(49)} <= told
        assert ("Bounce", "gone@example.net") in told
        assert clients.ses.get_suppressed_destination(EmailAddress="gone@example.net")
        assert clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerifiedForSendingStatus"]
        assert_onboarded(clients)
        simulator.scenario(account={"production_access": True})
        account = clients.ses.get_account()["SendQuota"]
        assert (account["MaxSendRate"], account["SentLast24Hours"]) == (5000.0, 51.0)
        clients.send("after@example.com")
        assert {each["mail"]["destination"][0] for each in clients.records(2)} == {"after@example.com"}


@pytest.mark.slow
def test_a_stopped_simulator_keeps_its_queues_and_tells_nothing_twice(data: Path) -> None:
    with running_simulator(data) as (simulator, process):
        clients = Clients.of(simulator)
        prepare(clients)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=15) == 0
    with running_simulator(data) as (simulator, _):
        clients = Clients.of(simulator)
        clients.queue = clients.sqs.get_queue_url(QueueName="events")["QueueUrl"]
        told = [(each["eventType"], each["mail"]["destination"][0]) for each in clients.records(100)]
        assert len(told) == len(set(told)) == 100
        dead = clients.sqs.get_queue_url(QueueName="dead")["QueueUrl"]
        [poison] = clients.sqs.receive_message(QueueUrl=dead)["Messages"]
        assert poison["Body"] == "poison"


@pytest.mark.slow
def test_a_taken_port_is_a_sentence(data: Path) -> None:
    with running_simulator(data) as (simulator, _):
        port = simulator.url.rpartition(":")[2]
        other = subprocess.run(
            [
                sys.executable,
                "-m",
                "simulator",
                "--data",
                str(data / "b"),
                "--port",
                port,
                "--dns-port",
                port,
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert other.returncode == 1
    assert other.stderr == (
        f"The simulator cannot listen on 127.0.0.1:{port} (Address already in use). Choose another port.\n"
    )
