"""Faults: each strikes what it names, as often as it says, and a lost answer is not a lost mail."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from tests.contract.simulator_clients import Clients
from tests.simulators import Simulator

LOST = (ConnectionClosedError, EndpointConnectionError)


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator).ready()


def status_of(call: Any, *arguments: Any, **changes: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **changes)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_a_throttled_call_accepts_nothing_and_the_next_goes_through(clients: Clients) -> None:
    clients.simulator.faults({"kind": "throttle", "operation": "SendBulkEmail"})
    assert status_of(clients.bulk, "a@example.com") == ("TooManyRequestsException", 429)
    assert [each["Status"] for each in clients.bulk("a@example.com")] == ["SUCCESS"]
    assert len(clients.simulator.messages()) == 1


def test_entries_are_throttled_inside_200(clients: Clients) -> None:
    clients.simulator.faults({"kind": "throttle", "operation": "SendBulkEmail", "entry": True, "times": 2})
    results = clients.bulk("a@example.com", "b@example.com", "c@example.com")
    assert [each["Status"] for each in results] == ["ACCOUNT_THROTTLED", "ACCOUNT_THROTTLED", "SUCCESS"]
    assert [each["to"] for each in clients.simulator.messages()] == ["c@example.com"]


def test_an_entry_can_fail_with_a_status_of_its_own(clients: Clients) -> None:
    clients.simulator.faults(
        {"kind": "error", "entry": True}, {"kind": "error", "entry": True, "code": "FAILED"}
    )
    results = clients.bulk("a@example.com", "b@example.com", "c@example.com")
    assert [each["Status"] for each in results] == ["TRANSIENT_FAILURE", "FAILED", "SUCCESS"]


def test_an_error_has_the_status_and_code_it_is_given(clients: Clients) -> None:
    clients.simulator.faults(
        {"kind": "error"}, {"kind": "error", "status": 403, "code": "AccessDeniedException"}
    )
    assert status_of(clients.ses.get_account) == ("InternalServiceErrorException", 500)
    assert status_of(clients.send) == ("AccessDeniedException", 403)
    clients.send()


def test_an_accepted_mail_whose_answer_is_lost_is_logged_and_told(clients: Clients) -> None:
    clients.simulator.faults({"kind": "accept_then_time_out", "operation": "SendBulkEmail"})
    with pytest.raises(LOST):
        clients.bulk("a@example.com", "b@example.com")
    assert [each["to"] for each in clients.simulator.messages()] == ["a@example.com", "b@example.com"]
    assert len(clients.records(4)) == 4


def test_an_answer_can_be_held_before_it_is_lost(clients: Clients) -> None:
    clients.simulator.faults({"kind": "accept_then_time_out", "seconds": 0.4})
    started = time.monotonic()
    with pytest.raises(LOST):
        clients.send()
    assert time.monotonic() - started >= 0.4


def test_a_refused_connection_accepts_nothing(clients: Clients) -> None:
    clients.simulator.faults({"kind": "refuse_connection", "operation": "SendEmail"})
    with pytest.raises(LOST):
        clients.send()
    clients.ses.get_account()
    assert clients.simulator.messages() == []


def test_latency_delays_and_then_answers(clients: Clients) -> None:
    clients.simulator.faults({"kind": "latency", "operation": "GetAccount", "seconds": 0.3})
    started = time.monotonic()
    clients.ses.get_account()
    assert time.monotonic() - started >= 0.3


def test_a_share_of_the_calls_is_struck_until_cleared(clients: Clients) -> None:
    clients.simulator.faults({"kind": "error", "operation": "GetAccount", "times": 0, "rate": 0.5})
    outcomes = []
    for _ in range(40):
        try:
            clients.ses.get_account()
            outcomes.append(True)
        except ClientError:
            outcomes.append(False)
    assert 8 <= outcomes.count(False) <= 32
    clients.simulator.faults()
    assert all(clients.ses.get_account() for _ in range(5))


def test_other_services_are_struck_only_by_name(clients: Clients) -> None:
    clients.simulator.faults(
        {"kind": "error", "times": 0},
        {"kind": "error", "operation": "CreateTopic", "code": "InternalError"},
        {"kind": "error", "operation": "GetQueueUrl", "code": "InternalError"},
        {"kind": "refuse_connection", "operation": "ListTopics"},
    )
    assert status_of(clients.ses.get_account)[1] == 500
    assert status_of(clients.sns.create_topic, Name="x") == ("InternalError", 500)
    assert status_of(clients.sqs.get_queue_url, QueueName="events") == ("InternalError", 500)
    with pytest.raises(LOST):
        clients.sns.list_topics()
    assert clients.sns.create_topic(Name="x")["TopicArn"]
    assert clients.sqs.get_queue_url(QueueName="events")["QueueUrl"]


def test_events_are_told_twice_or_never(clients: Clients) -> None:
    clients.simulator.faults(
        {"kind": "duplicate_events", "operation": "Send"}, {"kind": "drop_events", "operation": "Delivery"}
    )
    clients.send("a@example.com")
    clients.send("b@example.com")
    told = sorted((each["eventType"], each["mail"]["destination"][0]) for each in clients.records(4))
    assert told == [
        ("Delivery", "b@example.com"),
        ("Send", "a@example.com"),
        ("Send", "a@example.com"),
        ("Send", "b@example.com"),
    ]


def test_events_overtake_each_other(clients: Clients) -> None:
    clients.simulator.faults({"kind": "reorder_events", "times": 0, "seconds": 0.8})
    clients.bulk(*(f"r{number}@example.com" for number in range(20)))
    kinds = [each["eventType"] for each in clients.records(40)]
    assert kinds != sorted(kinds, reverse=True)
    assert kinds.count("Send") == 20


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "nonsense"},
        {"kind": "error", "times": -1},
        {"kind": "error", "rate": 2},
        {"kind": "error", "status": 200},
        {"kind": "error", "colour": "red"},
        "error",
    ],
)
def test_a_fault_that_cannot_be_is_refused_with_a_sentence(simulator: Simulator, fault: Any) -> None:
    status, text = simulator.refusal("POST", "/_sim/faults", [fault])
    assert status == 400
    assert text.endswith(".")
