"""SES's control operations: each is logged, and no two may come closer than the limit allows."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from tests.contract.simulator_clients import Clients
from tests.simulators import Simulator


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator)


def throttled(call: Any, **arguments: Any) -> bool:
    try:
        call(**arguments)
    except ClientError as e:
        error, metadata = e.response["Error"], e.response["ResponseMetadata"]
        return (error["Code"], metadata["HTTPStatusCode"]) == ("TooManyRequestsException", 429)
    return False


def test_control_operations_are_logged_and_sending_is_not(clients: Clients) -> None:
    clients.ready()
    before = clients.simulator.calls()[-1]["id"]
    clients.send()
    clients.bulk("a@example.com")
    with pytest.raises(ClientError):
        clients.ses.get_tenant(TenantName="nobody")
    clients.ses.get_account()
    clients.simulator.faults({"kind": "refuse_connection", "operation": "ListTenants"})
    with pytest.raises(ConnectionClosedError):
        clients.ses.list_tenants()
    logged = clients.simulator.calls(after=before)
    assert [(each["operation"], each["status"]) for each in logged] == [
        ("GetTenant", 404),
        ("GetAccount", 200),
        ("ListTenants", 0),
    ]
    times = [each["at"] for each in logged]
    assert times == sorted(times)
    assert [each["id"] for each in logged] == list(range(before + 1, before + 4))


def test_calls_that_come_too_close_are_refused(clients: Clients) -> None:
    clients.simulator.scenario(control_calls_per_second=4)
    assert not throttled(clients.ses.get_account)
    assert throttled(clients.ses.list_tenants)
    assert throttled(clients.ses.get_account)
    clients.simulator.advance_clock(0.3)
    assert not throttled(clients.ses.get_account)
    clients.simulator.scenario(control_calls_per_second=None)
    assert not any(throttled(clients.ses.get_account) for _ in range(5))
    assert [each["status"] for each in clients.simulator.calls()] == [200, 429, 429, 200, *[200] * 5]


def test_sending_is_never_too_close(clients: Clients) -> None:
    clients.ready()
    clients.simulator.scenario(control_calls_per_second=0.1)
    for _ in range(3):
        clients.send()
    assert len(clients.simulator.messages()) == 3


def test_a_reset_forgets_calls_and_limit(clients: Clients) -> None:
    clients.simulator.scenario(control_calls_per_second=1)
    clients.ses.get_account()
    clients.simulator.reset()
    assert clients.simulator.call("GET", "/_sim/calls") == {"calls": [], "next": 0}
    assert not any(throttled(clients.ses.get_account) for _ in range(2))


@pytest.mark.parametrize("limit", [-1, "many", True])
def test_a_limit_that_cannot_be_is_refused_with_a_sentence(simulator: Simulator, limit: Any) -> None:
    status, text = simulator.refusal("POST", "/_sim/scenario", {"control_calls_per_second": limit})
    assert status == 400
    assert text.endswith(".")
