"""Sending through the simulator: every gate, limit and refusal of SES that the product has to live with."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.simulator_clients import Clients, arn
from tests.simulators import Simulator


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator).ready()


def refusal(call: Any, *arguments: Any, **changes: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(*arguments, **changes)
    error, metadata = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], metadata["HTTPStatusCode"], error["Message"]


def both_refuse(clients: Clients, **changes: Any) -> tuple[str, int, str]:
    """SendEmail and SendBulkEmail refuse the whole call in the same words, and nothing is accepted."""
    single = refusal(clients.send, **changes)
    assert refusal(clients.bulk, "rcpt@example.net", **changes) == single
    assert clients.simulator.messages() == []
    return single


def test_what_ses_accepted_is_in_the_log(clients: Clients) -> None:
    tags = [{"Name": "msg_uid", "Value": "01JD-a_b"}]
    [result] = clients.bulk("Ann@example.com", fields={"name": "Åse <b>"}, DefaultEmailTags=tags)
    assert result["Status"] == "SUCCESS"
    [logged] = clients.simulator.messages()
    assert logged.pop("time").endswith("Z")
    assert logged == {
        "id": 1,
        "message_id": result["MessageId"],
        "from": "Acme <news@acme-mail.io>",
        "to": "Ann@example.com",
        "subject": "Hi Åse <b>",
        "html": "<p>Åse <b></p>",
        "text": "Åse <b>",
        "tags": {"msg_uid": "01JD-a_b"},
        "headers": {},
        "tenant": "acme",
        "configuration_set": "acme-set",
        "outcome": "delivery",
        "provider": "ses",
        "reply_to": None,
    }


def test_the_log_is_asked_by_tenant_recipient_and_page(clients: Clients) -> None:
    clients.bulk(*(f"r{number}@example.com" for number in range(5)))
    clients.send("solo@example.org", TenantName="acme")
    simulator = clients.simulator
    assert [each["to"] for each in simulator.messages(to="SOLO@example.org")] == ["solo@example.org"]
    assert len(simulator.messages(tenant="acme")) == 6
    assert simulator.messages(tenant="globex") == []
    first = simulator.call("GET", "/_sim/messages?limit=4")
    assert [each["to"] for each in first["messages"]] == [f"r{number}@example.com" for number in range(4)]
    rest = simulator.call("GET", f"/_sim/messages?limit=4&after={first['next']}")
    assert ([each["id"] for each in rest["messages"]], rest["next"]) == ([5, 6], None)


def test_a_simple_message_keeps_its_braces(clients: Clients) -> None:
    body = {"Html": {"Data": "<p>{{name}}</p>"}, "Text": {"Data": "{{#each}}"}}
    clients.send(Content={"Simple": {"Subject": {"Data": "{{x}}"}, "Body": body}})
    [logged] = clients.simulator.messages()
    assert (logged["subject"], logged["html"], logged["text"]) == ("{{x}}", "<p>{{name}}</p>", "{{#each}}")


def test_a_tenant_that_is_unknown_cannot_send(clients: Clients) -> None:
    code, status, text = both_refuse(clients, TenantName="nobody")
    assert (code, status) == ("NotFoundException", 404)
    assert text == "Tenant nobody for AwsAccountId 123456789012 not found."


def test_a_tenant_sends_only_with_what_is_associated_with_it(clients: Clients) -> None:
    for resource in ("identity/acme-mail.io", "configuration-set/acme-set"):
        clients.ses.delete_tenant_resource_association(TenantName="acme", ResourceArn=arn(resource))
    code, status, text = both_refuse(clients)
    assert (code, status) == ("AccessDeniedException", 403)
    assert text == (
        "Tenant not associated with resources "
        f"[{arn('identity/acme-mail.io')}, {arn('configuration-set/acme-set')}]."
    )


def test_a_paused_tenant_is_refused_as_the_scenario_says(clients: Clients) -> None:
    reference = clients.ses.get_tenant(TenantName="acme")["Tenant"]["TenantArn"]
    clients.ses.update_reputation_entity_customer_managed_status(
        ReputationEntityType="RESOURCE", ReputationEntityReference=reference, SendingStatus="DISABLED"
    )
    assert both_refuse(clients)[:2] == ("SendingPausedException", 400)
    clients.simulator.scenario(tenant_paused_error={"code": "AccessDeniedException", "status": 403})
    assert both_refuse(clients)[:2] == ("AccessDeniedException", 403)


def test_an_unverified_sender_is_rejected_in_the_words_of_ses(clients: Clients) -> None:
    clients.ses.create_email_identity(EmailIdentity="new-shop.io")
    changes = {"FromEmailAddress": "a@new-shop.io", "TenantName": None, "ConfigurationSetName": None}
    given = {name: value for name, value in changes.items() if value}
    request = {
        "Destination": {"ToAddresses": ["rcpt@example.net"]},
        "Content": {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
    }
    code, status, text = refusal(clients.ses.send_email, **given, **request)
    assert (code, status) == ("MessageRejected", 400)
    assert text == (
        "Email address is not verified. The following identities failed the check in region "
        "AP-SOUTHEAST-1: a@new-shop.io"
    )


def test_a_verified_parent_domain_makes_addresses_below_it_sendable(clients: Clients) -> None:
    clients.send(FromEmailAddress="shop@eu.news.acme-mail.io")
    assert len(clients.simulator.messages()) == 1


def test_mail_from_with_reject_message_stops_mail_until_its_dns_is_right(clients: Clients) -> None:
    clients.ses.put_email_identity_mail_from_attributes(
        EmailIdentity="acme-mail.io",
        MailFromDomain="bounce.acme-mail.io",
        BehaviorOnMxFailure="REJECT_MESSAGE",
    )
    assert both_refuse(clients)[0] == "MailFromDomainNotVerifiedException"
    exchange = "10 feedback-smtp.ap-southeast-1.amazonses.com"
    clients.simulator.put_dns(
        [
            {"type": "MX", "name": "bounce.acme-mail.io", "value": exchange},
            {"type": "TXT", "name": "bounce.acme-mail.io", "value": "v=spf1 include:amazonses.com ~all"},
        ]
    )
    attributes = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["MailFromAttributes"]
    assert attributes["MailFromDomainStatus"] == "SUCCESS"
    clients.send()


@pytest.mark.parametrize(
    ("account", "code"),
    [
        ({"sending_enabled": False}, "SendingPausedException"),
        ({"enforcement_status": "SHUTDOWN"}, "AccountSuspendedException"),
    ],
)
def test_a_stopped_account_sends_nothing(clients: Clients, account: dict[str, Any], code: str) -> None:
    clients.simulator.scenario(account=account)
    assert both_refuse(clients)[:2] == (code, 400)


def test_a_stopped_or_missing_configuration_set_sends_nothing(clients: Clients) -> None:
    clients.ses.put_configuration_set_sending_options(ConfigurationSetName="acme-set", SendingEnabled=False)
    code, _, text = both_refuse(clients)
    assert (code, text) == ("SendingPausedException", "Sending is paused for configuration set acme-set")
    code, status, text = both_refuse(clients, ConfigurationSetName="missing")
    assert (code, status, text) == (
        "NotFoundException",
        404,
        "Configuration set <missing> does not exist.",
    )


def test_the_identitys_own_configuration_set_is_the_default(clients: Clients) -> None:
    clients.ses.put_email_identity_configuration_set_attributes(
        EmailIdentity="acme-mail.io", ConfigurationSetName="acme-set"
    )
    clients.ses.send_email(
        FromEmailAddress="news@acme-mail.io",
        TenantName="acme",
        Destination={"ToAddresses": ["rcpt@example.net"]},
        Content={"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}},
    )
    assert clients.simulator.messages()[0]["configuration_set"] == "acme-set"


def test_in_the_sandbox_only_verified_recipients_get_mail(clients: Clients) -> None:
    clients.simulator.scenario(account={"production_access": False, "max_send_rate": 9})
    code, _, text = refusal(clients.send, "stranger@example.net")
    assert code == "MessageRejected"
    assert text.endswith("failed the check in region AP-SOUTHEAST-1: stranger@example.net")
    statuses = [
        each["Status"]
        for each in clients.bulk(
            "stranger@example.net", "me@acme-mail.io", "success+1@simulator.amazonses.com"
        )
    ]
    assert statuses == ["MESSAGE_REJECTED", "SUCCESS", "SUCCESS"]
    assert refusal(clients.ses.put_suppressed_destination, EmailAddress="a@example.com", Reason="BOUNCE")[
        0
    ] == ("BadRequestException")


def test_a_bulk_call_is_throttled_entry_by_entry(clients: Clients) -> None:
    clients.simulator.scenario(account={"max_send_rate": 5})
    results = clients.bulk(*(f"r{number}@example.com" for number in range(8)))
    assert [each["Status"] for each in results] == ["SUCCESS"] * 5 + ["ACCOUNT_THROTTLED"] * 3
    assert results[-1]["Error"] == "Maximum sending rate exceeded."
    assert refusal(clients.send)[:2] == ("TooManyRequestsException", 429)
    assert len(clients.simulator.messages()) == 5


@pytest.mark.slow
def test_no_sliding_second_ever_holds_more_than_the_rate(clients: Clients) -> None:
    clients.simulator.scenario(account={"max_send_rate": 20})
    accepted = 0
    while accepted <= 40:  # into the third second, however busy the machine is
        results = clients.bulk("a@example.com", "b@example.com", "c@example.com")
        accepted += [each["Status"] for each in results].count("SUCCESS")
    stamps = [
        float(each["time"][17:26]) + 60 * int(each["time"][14:16]) for each in clients.simulator.messages()
    ]
    worst = max(sum(1 for other in stamps if at <= other < at + 1) for at in stamps)
    assert worst == 20


def test_the_daily_quota_frees_after_24_hours(clients: Clients) -> None:
    clients.simulator.scenario(account={"max_24_hour_send": 3})
    results = clients.bulk(*(f"r{number}@example.com" for number in range(4)))
    assert [each["Status"] for each in results] == ["SUCCESS"] * 3 + ["ACCOUNT_DAILY_QUOTA_EXCEEDED"]
    code, status, text = refusal(clients.send)
    assert (code, status, text) == ("LimitExceededException", 400, "Daily message quota exceeded.")
    clients.send("bounce@simulator.amazonses.com")
    assert clients.ses.get_account()["SendQuota"]["SentLast24Hours"] == 3.0
    clients.simulator.advance_clock(86_401)
    clients.send()
    assert clients.ses.get_account()["SendQuota"]["SentLast24Hours"] == 1.0


@pytest.mark.parametrize("name", ["a b", "täg", "x" * 257, "a.b"])
def test_tags_hold_letters_digits_underscore_and_hyphen_only(clients: Clients, name: str) -> None:
    tag = [{"Name": "campaign", "Value": name}]
    assert refusal(clients.send, EmailTags=tag)[0] == "BadRequestException"
    assert refusal(clients.bulk, "a@example.com", DefaultEmailTags=tag)[0] == "BadRequestException"


@pytest.mark.parametrize(
    "address", ["nobody", "zoë@example.com", "a@münchen.example.com", "a b@example.com", "a@x"]
)
def test_an_impossible_recipient_fails_its_entry_alone(clients: Clients, address: str) -> None:
    assert [each["Status"] for each in clients.bulk(address, "fine@example.com")] == [
        "INVALID_PARAMETER",
        "SUCCESS",
    ]
    assert refusal(clients.send, address)[0] == "BadRequestException"


def test_no_more_than_fifty_entries_or_recipients(clients: Clients) -> None:
    many = [f"r{number}@example.com" for number in range(51)]
    assert refusal(clients.bulk, *many)[0] == "BadRequestException"
    assert refusal(clients.send, Destination={"ToAddresses": many})[0] == "BadRequestException"


@pytest.mark.parametrize(
    "headers",
    [
        [{"Name": f"X-{number}", "Value": "1"} for number in range(16)],
        [{"Name": "X-Long", "Value": "v" * 995}],
    ],
)
def test_headers_have_limits(clients: Clients, headers: list[dict[str, str]]) -> None:
    simple = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}, "Headers": headers}
    assert refusal(clients.send, Content={"Simple": simple})[0] == "BadRequestException"


def test_an_entrys_headers_and_tags_override_the_calls(clients: Clients) -> None:
    content = {
        "Template": {
            "TemplateContent": {"Subject": "s", "Text": "t"},
            "Headers": [{"Name": "X-A", "Value": "call"}, {"Name": "X-B", "Value": "call"}],
        }
    }
    entry = {
        "Destination": {"ToAddresses": ["a@example.com"]},
        "ReplacementTags": [{"Name": "user", "Value": "7"}],
        "ReplacementHeaders": [{"Name": "x-a", "Value": "entry"}],
    }
    tags = [{"Name": "user", "Value": "0"}, {"Name": "campaign", "Value": "1"}]
    clients.bulk(DefaultContent=content, BulkEmailEntries=[entry], DefaultEmailTags=tags)
    [logged] = clients.simulator.messages()
    assert logged["headers"] == {"x-a": "entry", "X-B": "call"}
    assert logged["tags"] == {"user": "7", "campaign": "1"}


@pytest.mark.parametrize("html", ["{{#each a}}", "{{name", "{{ a b }}", "{{> part}}", "{{{name}}"])
def test_inline_content_knows_plain_replacement_only(clients: Clients, html: str) -> None:
    content = {"Template": {"TemplateContent": {"Subject": "s", "Html": html}}}
    assert refusal(clients.bulk, "a@example.com", DefaultContent=content)[0] == "BadRequestException"


def test_a_call_with_inline_content_is_one_megabyte_at_most(clients: Clients) -> None:
    assert refusal(clients.bulk, *["a@example.com"] * 3, fields={"name": "x" * 400_000})[0] == (
        "BadRequestException"
    )


def test_content_is_one_of_simple_and_template(clients: Clients) -> None:
    simple = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}
    template = {"TemplateContent": {"Subject": "s", "Text": "t"}}
    assert refusal(clients.send, Content={"Simple": simple, "Template": template})[0] == "BadRequestException"
    assert refusal(clients.send, Content={})[0] == "BadRequestException"
    assert "Raw is not simulated" in refusal(clients.send, Content={"Raw": {"Data": b"x"}})[2]
    assert refusal(clients.send, Content={"Template": {"TemplateName": "stored"}})[0] == "NotFoundException"


def test_template_data_that_is_no_json_object_fails_its_entry(clients: Clients) -> None:
    entry = {
        "Destination": {"ToAddresses": ["a@example.com"]},
        "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": "not json"}},
    }
    [result] = clients.bulk(BulkEmailEntries=[entry])
    assert result == {"Status": "INVALID_PARAMETER", "Error": "Template data is not valid JSON."}
