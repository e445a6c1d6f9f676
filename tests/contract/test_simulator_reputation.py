"""What AWS decides: findings about tenants, pauses, and who leaves the sandbox; told on the event bus."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.contract.simulator_clients import ACCOUNT, REGION, Clients
from tests.simulators import Simulator

NOTICES = {
    "source": ["aws.ses"],
    "detail-type": [{"prefix": "Sending Status"}, {"prefix": "Advisor Recommendation Status"}],
}
BOUNCES = {
    "type": "BOUNCE",
    "impact": "HIGH",
    "description": "The bounce rate exceeded 15.0% based on a representative volume of 197 emails.",
}


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    """acme's notices go from the event bus to `queue`."""
    made = Clients.of(simulator)
    made.tenant("acme")
    made.queue = made.sqs.create_queue(QueueName="notices")["QueueUrl"]
    made.events.put_rule(Name="notices", EventPattern=json.dumps(NOTICES))
    made.events.put_targets(
        Rule="notices", Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:notices"}]
    )
    return made


def notices(clients: Clients, count: int) -> list[dict[str, Any]]:
    return clients.envelopes(lambda found: len(found) >= count)


def entity(clients: Clients) -> dict[str, Any]:
    arn = clients.ses.get_tenant(TenantName="acme")["Tenant"]["TenantArn"]
    return {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": arn}


def reputation(clients: Clients) -> dict[str, Any]:
    return dict(clients.ses.get_reputation_entity(**entity(clients))["ReputationEntity"])


def findings(clients: Clients, **chosen: str) -> list[dict[str, Any]]:
    arn = entity(clients)["ReputationEntityReference"]
    answer = clients.ses.list_recommendations(Filter={"RESOURCE_ARN": arn, **chosen})
    return list(answer["Recommendations"])


def follow_policy(clients: Clients, policy: str) -> None:
    clients.ses.update_reputation_entity_policy(
        **entity(clients), ReputationEntityPolicy=f"arn:aws:ses:{REGION}:aws:reputation-policy/{policy}"
    )


def test_a_finding_is_open_until_it_is_fixed_and_told_both_times(clients: Clients) -> None:
    follow_policy(clients, "none")
    clients.simulator.tenant("acme", findings=[BOUNCES, {"type": "DMARC", "impact": "LOW"}])
    assert {(each["Type"], each["Impact"], each["Status"]) for each in findings(clients)} == {
        ("BOUNCE", "HIGH", "OPEN"),
        ("DMARC", "LOW", "OPEN"),
    }
    assert reputation(clients)["ReputationImpact"] == "HIGH"
    clients.simulator.tenant("acme", findings=[{**BOUNCES, "status": "FIXED"}])
    assert [each["Type"] for each in findings(clients, STATUS="OPEN")] == ["DMARC"]
    assert reputation(clients)["ReputationImpact"] == "LOW"
    assert reputation(clients)["SendingStatusAggregate"] == "ENABLED"
    told = notices(clients, 3)
    assert sorted(each["detail-type"] for each in told) == [
        "Advisor Recommendation Status Open",
        "Advisor Recommendation Status Open",
        "Advisor Recommendation Status Resolved",
    ]


def test_a_notice_has_the_envelope_of_eventbridge(clients: Clients) -> None:
    clients.simulator.tenant("acme", aws_status="ENABLED", findings=[BOUNCES])
    [told] = notices(clients, 1)
    arn = entity(clients)["ReputationEntityReference"]
    assert (len(told.pop("id")), told.pop("time")[-1]) == (36, "Z")
    assert told == {
        "version": "0",
        "detail-type": "Advisor Recommendation Status Open",
        "source": "aws.ses",
        "account": ACCOUNT,
        "region": REGION,
        "resources": [arn],
        "detail": {
            "version": "1.0.0",
            "data": BOUNCES["description"],
            "metadata": {"impact": "HIGH", "type": "BOUNCE"},
        },
    }


def test_the_same_finding_again_is_not_told_again(clients: Clients) -> None:
    for _ in range(2):
        clients.simulator.tenant("acme", aws_status="ENABLED", findings=[BOUNCES])
    assert clients.simulator.tenant("acme", aws_status="DISABLED", cause="x")["aws_status"] == "DISABLED"
    assert [each["detail-type"] for each in notices(clients, 2)] == [
        "Advisor Recommendation Status Open",
        "Sending Status Disabled",
    ]


def test_what_aws_decides_is_told_with_its_cause(clients: Clients) -> None:
    clients.simulator.tenant("acme", aws_status="DISABLED", cause="Too many complaints.")
    managed = reputation(clients)["AwsSesManagedStatus"]
    assert (managed["Status"], managed["Cause"]) == ("DISABLED", "Too many complaints.")
    clients.simulator.tenant("acme", aws_status="ENABLED", cause="")
    told = sorted(notices(clients, 2), key=lambda each: str(each["detail-type"]))
    assert [each["detail-type"] for each in told] == ["Sending Status Disabled", "Sending Status Enabled"]
    data = told[0]["detail"]["data"]
    assert (data["origin"], data["record"]["cause"]) == ("AWS_MANAGED", "Too many complaints.")
    assert len(data["record"]["lastUpdatedTimestamp"]) == 7


@pytest.mark.parametrize(
    ("policy", "impact", "status"),
    [
        ("none", "HIGH", "ENABLED"),
        ("standard", "LOW", "ENABLED"),
        ("standard", "HIGH", "DISABLED"),
        ("strict", "LOW", "DISABLED"),
    ],
)
def test_the_policy_decides_which_finding_pauses(
    clients: Clients, policy: str, impact: str, status: str
) -> None:
    follow_policy(clients, policy)
    clients.simulator.tenant("acme", findings=[{**BOUNCES, "impact": impact}])
    managed = reputation(clients)["AwsSesManagedStatus"]
    assert managed["Status"] == status
    assert (BOUNCES["description"] in managed.get("Cause", "")) == (status == "DISABLED")


def test_a_deleted_tenants_findings_are_gone(clients: Clients) -> None:
    clients.simulator.tenant("acme", findings=[BOUNCES])
    clients.ses.delete_tenant(TenantName="acme")
    assert clients.ses.list_recommendations()["Recommendations"] == []


@pytest.mark.parametrize(
    "decided",
    [
        {"aws_status": "PAUSED"},
        {"colour": "red"},
        {"findings": {"type": "BOUNCE"}},
        {"findings": [{"type": "WEATHER"}]},
        {"findings": [{"type": "BOUNCE", "impact": "MIDDLING"}]},
        {"findings": [{"type": "BOUNCE", "status": "CLOSED"}]},
        {"findings": [{"type": "BOUNCE", "colour": "red"}]},
    ],
)
def test_what_aws_never_decides_is_refused_with_a_sentence(clients: Clients, decided: dict[str, Any]) -> None:
    status, text = clients.simulator.refusal("POST", "/_sim/tenants", {"name": "acme", **decided})
    assert status == 400
    assert text.endswith(".")
    assert findings(clients) == []


DETAILS = {
    "MailType": "MARKETING",
    "WebsiteURL": "https://acme-mail.io",
    "ContactLanguage": "EN",
    "UseCaseDescription": "Newsletters to people who asked for them.",
    "AdditionalContactEmailAddresses": ["ops@acme-mail.io"],
}


@pytest.fixture
def sandboxed(simulator: Simulator) -> Clients:
    simulator.scenario(account={"production_access": False, "max_send_rate": 1, "max_24_hour_send": 200})
    return Clients.of(simulator)


def review(clients: Clients) -> tuple[str, bool]:
    account = clients.ses.get_account()
    return account["Details"]["ReviewDetails"]["Status"], account["ProductionAccessEnabled"]


def test_production_access_is_granted_after_a_while(sandboxed: Clients) -> None:
    assert "Details" not in sandboxed.ses.get_account()
    sandboxed.ses.put_account_details(**DETAILS, ProductionAccessEnabled=True)
    assert review(sandboxed) == ("PENDING", False)
    details = sandboxed.ses.get_account()["Details"]
    assert details.pop("ReviewDetails")["CaseId"].isdigit()
    assert details == DETAILS
    with pytest.raises(sandboxed.ses.exceptions.ConflictException):
        sandboxed.ses.put_account_details(**DETAILS)
    sandboxed.simulator.advance_clock(120)
    assert review(sandboxed) == ("GRANTED", True)
    assert sandboxed.ses.get_account()["SendQuota"]["Max24HourSend"] == 50_000.0


def limits(clients: Clients) -> tuple[float, float]:
    quota = clients.ses.get_account()["SendQuota"]
    return quota["Max24HourSend"], quota["MaxSendRate"]


@pytest.mark.parametrize("granted", [{"review": "GRANTED"}, {"production_access": True}])
def test_the_sandbox_has_its_own_limits_and_the_former_come_back(
    clients: Clients, granted: dict[str, object]
) -> None:
    clients.simulator.scenario(account={"max_send_rate": 30})
    for _ in range(2):
        clients.simulator.scenario(account={"production_access": False})
        assert limits(clients) == (200.0, 1.0)
    clients.ses.put_account_details(**DETAILS)
    clients.simulator.scenario(account=granted)
    assert limits(clients) == (500_000.0, 30.0)


def test_limits_that_are_given_go_before_the_sandboxes(clients: Clients) -> None:
    clients.simulator.scenario(account={"production_access": False, "max_send_rate": 5})
    assert limits(clients) == (200.0, 5.0)
    clients.simulator.scenario(account={"production_access": True, "max_24_hour_send": 70_000})
    assert limits(clients) == (70_000.0, 5.0)


def test_production_access_that_was_denied_may_be_asked_for_again(sandboxed: Clients) -> None:
    sandboxed.ses.put_account_details(**DETAILS)
    first = sandboxed.ses.get_account()["Details"]["ReviewDetails"]["CaseId"]
    sandboxed.simulator.scenario(account={"review": "DENIED"})
    sandboxed.simulator.advance_clock(120)
    assert review(sandboxed) == ("DENIED", False)
    sandboxed.ses.put_account_details(**DETAILS)
    assert review(sandboxed) == ("PENDING", False)
    assert sandboxed.ses.get_account()["Details"]["ReviewDetails"]["CaseId"] != first
    sandboxed.simulator.scenario(account={"review": "GRANTED"})
    assert review(sandboxed) == ("GRANTED", True)


def test_a_granted_account_changes_its_details_without_a_review(clients: Clients) -> None:
    for _ in range(2):
        clients.ses.put_account_details(**DETAILS)
    assert review(clients) == ("GRANTED", True)
