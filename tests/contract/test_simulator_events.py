"""Events of the simulator: the records of SES key by key, in SNS's envelope, in the queue they belong to."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.contract.simulator_clients import ACCOUNT, ALL_TYPES, REGION, Clients, arn
from tests.simulators import Simulator

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"
SAMPLES = Path(__file__).parent.parent / "data" / "ses_events"
TAGS = [{"Name": "campaign_id", "Value": "cmp_42"}, {"Name": "msg_uid", "Value": "01JD3W8Q9Z"}]


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator).ready()


def sample(name: str) -> Any:
    return json.loads((SAMPLES / f"{name}.json").read_text())


def outline(value: Any) -> Any:
    """Keys and types of a record, its values and its headers' number left out."""
    if isinstance(value, dict):
        return {name: outline(part) for name, part in value.items()}
    if isinstance(value, list):
        return [outline(part) for part in value[:1]]
    return type(value).__name__


def event_types(records: list[dict[str, Any]]) -> list[str]:
    return sorted(each["eventType"] for each in records)


def of_type(records: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    [found] = [each for each in records if each["eventType"] == kind]
    return found


@pytest.mark.parametrize(
    ("fate", "count", "kind", "name"),
    [
        ("delivery", 2, "Send", "send"),
        ("delivery", 2, "Delivery", "delivery"),
        ("bounce", 2, "Bounce", "bounce_permanent_general"),
        ("transient", 2, "Bounce", "bounce_transient_mailbox_full"),
        ("complaint", 3, "Complaint", "complaint"),
        ("reject", 2, "Reject", "reject"),
    ],
)
def test_a_record_has_the_keys_of_the_sample(
    clients: Clients, fate: str, count: int, kind: str, name: str
) -> None:
    clients.simulator.scenario(addresses={"rcpt@example.net": fate})
    clients.send(EmailTags=TAGS)
    record = of_type(clients.records(count), kind)
    assert outline(record) == outline(sample(name))


def test_opens_clicks_and_delays_have_the_keys_of_the_samples(clients: Clients) -> None:
    clients.simulator.scenario(default={"open": 1, "click": 1, "delay": 1})
    html = '<a href="https://acme-mail.io/offer?u={{name}}&amp;x=1">x</a>'
    content = {"Template": {"TemplateContent": {"Subject": "s", "Html": html}}}
    clients.bulk("rcpt@example.net", DefaultContent=content, DefaultEmailTags=TAGS)
    records = clients.records(5)
    assert event_types(records) == ["Click", "Delivery", "DeliveryDelay", "Open", "Send"]
    for kind, name in (("Open", "open"), ("DeliveryDelay", "delivery_delay")):
        assert outline(of_type(records, kind)) == outline(sample(name))
    click = of_type(records, "Click")
    assert click["click"].keys() == sample("click")["click"].keys()
    assert click["click"]["link"] == "https://acme-mail.io/offer?u=Ann&x=1"


def test_a_missing_field_is_accepted_and_told_later(clients: Clients) -> None:
    [result] = clients.bulk("rcpt@example.net", fields={}, DefaultEmailTags=TAGS)
    assert result["Status"] == "SUCCESS"
    [record] = clients.records(1)
    assert outline(record) == outline(sample("rendering_failure"))
    assert record["failure"]["errorMessage"] == "Attribute 'name' is not present in the rendering data."
    assert clients.simulator.messages()[0]["outcome"] == "rendering_failure"


def test_out_of_office_is_a_delivery_and_a_bounce_without_status(clients: Clients) -> None:
    clients.send("ooto+1@simulator.amazonses.com", EmailTags=TAGS)
    records = clients.records(3)
    assert event_types(records) == ["Bounce", "Delivery", "Send"]
    assert outline(of_type(records, "Bounce")) == outline(sample("bounce_transient_general_out_of_office"))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("success", ["Delivery", "Send"]),
        ("bounce", ["Bounce", "Send"]),
        ("complaint", ["Complaint", "Delivery", "Send"]),
        ("suppressionlist", ["Bounce", "Send"]),
    ],
)
def test_the_mailbox_simulator_answers_with_labels_too(clients: Clients, name: str, kinds: list[str]) -> None:
    clients.send(f"{name}+label@simulator.amazonses.com")
    assert event_types(clients.records(len(kinds))) == kinds
    assert clients.ses.list_suppressed_destinations()["SuppressedDestinationSummaries"] == []


def test_a_hard_bounce_is_suppressed_on_the_tenants_list(clients: Clients) -> None:
    clients.ses.put_tenant_suppression_attributes(
        TenantName="acme", SuppressedReasons=["BOUNCE", "COMPLAINT"], SuppressionScope="TENANT"
    )
    clients.simulator.scenario(addresses={"gone@example.net": "bounce", "cross@example.net": "complaint"})
    number = clients.send("gone@example.net", EmailTags=TAGS)
    clients.send("cross@example.net")
    clients.records(5)
    entry = clients.ses.get_suppressed_destination(EmailAddress="gone@example.net", TenantName="acme")
    assert entry["SuppressedDestination"]["Attributes"]["MessageId"] == number
    assert entry["SuppressedDestination"]["TenantName"] == "acme"
    assert clients.ses.list_suppressed_destinations()["SuppressedDestinationSummaries"] == []
    clients.send("GONE@example.net", EmailTags=TAGS)
    records = clients.records(2)
    bounce = of_type(records, "Bounce")
    assert outline(bounce) == outline(sample("bounce_permanent_on_tenant_suppression_list"))
    assert (
        bounce["bounce"]["bouncedRecipients"][0]["diagnosticCode"]
        == (
            sample("bounce_permanent_on_tenant_suppression_list")["bounce"]["bouncedRecipients"][0][
                "diagnosticCode"
            ]
        )
    )
    assert clients.simulator.messages()[-1]["outcome"] == "suppressed"


def test_the_configuration_sets_suppression_goes_before_the_tenants_before_the_accounts(
    clients: Clients,
) -> None:
    ses = clients.ses
    ses.put_suppressed_destination(EmailAddress="a@example.net", Reason="BOUNCE")
    clients.send("a@example.net")
    assert of_type(clients.records(2), "Bounce")["bounce"]["bounceSubType"] == "OnAccountSuppressionList"
    ses.put_tenant_suppression_attributes(
        TenantName="acme", SuppressedReasons=["BOUNCE"], SuppressionScope="TENANT"
    )
    clients.send("a@example.net")
    assert event_types(clients.records(2)) == ["Delivery", "Send"]
    ses.put_configuration_set_suppression_options(
        ConfigurationSetName="acme-set", SuppressedReasons=["BOUNCE"], SuppressionScope="ACCOUNT"
    )
    clients.send("a@example.net")
    assert event_types(clients.records(2)) == ["Bounce", "Send"]
    ses.put_configuration_set_suppression_options(ConfigurationSetName="acme-set", SuppressedReasons=[])
    clients.send("a@example.net")
    assert event_types(clients.records(2)) == ["Delivery", "Send"]


def test_rates_by_domain_are_the_same_for_an_address_whenever_it_is_mailed(clients: Clients) -> None:
    clients.simulator.scenario(
        account={"max_send_rate": 10_000}, domains={"bad.example.net": {"bounce": 0.2, "complaint": 0.1}}
    )
    addresses = [f"r{number}@bad.example.net" for number in range(200)]
    for start in range(0, 200, 50):
        clients.bulk(*addresses[start : start + 50])
    first = {each["to"]: each["outcome"] for each in clients.simulator.messages()}
    assert 25 <= sum(fate == "bounce" for fate in first.values()) <= 55
    assert 5 <= sum(fate == "complaint" for fate in first.values()) <= 30
    again = Clients.of(clients.simulator)
    clients.simulator.reset()
    again.ready()
    clients.simulator.scenario(
        account={"max_send_rate": 10_000}, domains={"BAD.example.net": {"bounce": 0.2, "complaint": 0.1}}
    )
    again.bulk(*reversed(addresses[:50]))
    assert all(first[each["to"]] == each["outcome"] for each in clients.simulator.messages())


def test_sns_wraps_the_record_as_it_does(clients: Clients) -> None:
    clients.send()
    envelopes = clients.envelopes(lambda found: len(found) >= 3)
    greeting = envelopes[0]
    assert greeting["Message"] == "Successfully validated SNS topic for Amazon SES event publishing."
    for envelope in envelopes:
        assert envelope.keys() == sample("envelope_sns").keys()
        assert (envelope["Type"], envelope["TopicArn"]) == ("Notification", clients.topic)
    assert envelopes[1]["Subject"] == "Amazon SES Email Event Notification"


def test_only_matching_types_of_an_enabled_destination_are_published(clients: Clients) -> None:
    def change(**values: Any) -> None:
        destination = {
            "Enabled": True,
            "MatchingEventTypes": ALL_TYPES,
            "SnsDestination": {"TopicArn": clients.topic},
        }
        clients.ses.update_configuration_set_event_destination(
            ConfigurationSetName="acme-set",
            EventDestinationName="all",
            EventDestination={**destination, **values},
        )

    change(Enabled=False)
    clients.send("silent@example.net")
    change(MatchingEventTypes=["DELIVERY"])
    clients.send("delivered@example.net")
    change()
    clients.send("loud@example.net")
    told = [(each["eventType"], each["mail"]["destination"][0]) for each in clients.records(3)]
    assert sorted(told) == [
        ("Delivery", "delivered@example.net"),
        ("Delivery", "loud@example.net"),
        ("Send", "loud@example.net"),
    ]


def test_events_wait_as_long_as_the_scenario_says_and_the_clock_brings_them(clients: Clients) -> None:
    clients.simulator.scenario(event_delay_seconds=3600)
    clients.send()
    clients.envelopes(lambda found: len(found) >= 1)
    assert clients.simulator.call("GET", "/_sim/outbox")["pending"] == 2
    clients.simulator.advance_clock(3601)
    assert event_types(clients.records(2)) == ["Delivery", "Send"]


def test_a_queues_depth_counts_what_is_still_on_its_way(clients: Clients) -> None:
    clients.simulator.scenario(account={"max_send_rate": 10_000})
    for start in range(0, 150, 50):
        clients.bulk(*(f"r{number}@example.com" for number in range(start, start + 50)))
    name = "ApproximateNumberOfMessages"

    def depth() -> int:
        asked = clients.sqs.get_queue_attributes(QueueUrl=clients.queue, AttributeNames=["All"])
        return int(asked["Attributes"][name])

    records = []
    while len(records) < 20:
        records += clients.records(1)
    deadline = time.monotonic() + 5
    while (waiting := depth()) != 300 - len(records):
        assert time.monotonic() < deadline, f"{waiting} wait after {len(records)} of 300 were received"
    records += clients.records(300 - len(records))
    assert depth() == 0


@pytest.mark.slow
def test_a_bulk_campaigns_events_all_arrive_once(clients: Clients) -> None:
    clients.simulator.scenario(account={"max_send_rate": 10_000})
    addresses = [f"r{number}@example.com" for number in range(250)]
    for start in range(0, 250, 50):
        clients.bulk(*addresses[start : start + 50])
    records = clients.records(500)
    told = sorted((each["eventType"], each["mail"]["destination"][0]) for each in records)
    assert told == sorted((kind, address) for kind in ("Send", "Delivery") for address in addresses)


def test_a_paused_tenant_is_told_on_the_event_bus(clients: Clients) -> None:
    pattern = {"source": ["aws.ses"], "detail-type": ["Sending Status Disabled", "Email Sent"]}
    clients.events.put_rule(Name="ses", EventPattern=json.dumps(pattern))
    clients.events.put_targets(Rule="ses", Targets=[{"Id": "1", "Arn": QUEUE}])
    clients.sqs.purge_queue(QueueUrl=clients.queue)
    reference = clients.ses.get_tenant(TenantName="acme")["Tenant"]["TenantArn"]
    clients.ses.update_reputation_entity_customer_managed_status(
        ReputationEntityType="RESOURCE", ReputationEntityReference=reference, SendingStatus="DISABLED"
    )
    [told] = clients.envelopes(lambda found: len(found) >= 1)
    assert (told["source"], told["detail-type"]) == ("aws.ses", "Sending Status Disabled")
    assert told["resources"] == [reference]
    assert told["detail"]["data"]["record"]["status"] == "DISABLED"
    assert told["region"] == REGION


def test_the_event_bus_gets_the_same_record_under_detail(clients: Clients) -> None:
    clients.events.put_rule(Name="ses", EventPattern=json.dumps({"source": ["aws.ses"]}))
    clients.events.put_targets(
        Rule="ses", Targets=[{"Id": "1", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:events"}]
    )
    clients.ses.update_configuration_set_event_destination(
        ConfigurationSetName="acme-set",
        EventDestinationName="all",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": ["BOUNCE"],
            "EventBridgeDestination": {"EventBusArn": f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/default"},
        },
    )
    clients.sqs.purge_queue(QueueUrl=clients.queue)
    clients.send("bounce@simulator.amazonses.com", EmailTags=TAGS)
    [told] = clients.envelopes(lambda found: len(found) >= 1)
    assert told.keys() == sample("envelope_eventbridge").keys()
    assert told["detail-type"] == "Email Bounced"
    assert told["resources"] == [arn("configuration-set/acme-set")]
    assert outline(told["detail"]) == outline(sample("bounce_permanent_general"))
