"""Identities: what SES finds in DNS decides, by DKIM or by the TXT record of its older API."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.simulator_clients import Clients
from tests.simulators import Simulator


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator)


@pytest.fixture
def older(clients: Clients) -> Any:
    """SES's first API, which speaks the query protocol."""
    return clients.older


def record(kind: str, name: str, value: str) -> dict[str, str]:
    return {"type": kind, "name": name, "value": value}


def test_an_identity_follows_its_dns(clients: Clients) -> None:
    clients.ses.create_email_identity(EmailIdentity="acme-mail.io")

    def seen() -> tuple[str, bool, str | None]:
        answer = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")
        error = answer["VerificationInfo"].get("ErrorType")
        return answer["VerificationStatus"], answer["VerifiedForSendingStatus"], error

    assert seen() == ("PENDING", False, "HOST_NOT_FOUND")
    clients.publish_dns("acme-mail.io")
    assert seen() == ("SUCCESS", True, None)
    held = clients.simulator.call("GET", "/_sim/dns")
    clients.simulator.put_dns([{**held[0], "value": "other.dkim.amazonses.com"}])
    assert seen() == ("TEMPORARY_FAILURE", False, "INVALID_VALUE")
    clients.simulator.call("DELETE", "/_sim/dns", [{"type": "CNAME", "name": held[0]["name"]}])
    clients.simulator.put_dns([record("TXT", held[0]["name"], "x")])
    assert seen() == ("TEMPORARY_FAILURE", False, "TYPE_NOT_FOUND")
    clients.publish_dns("acme-mail.io")
    assert seen() == ("SUCCESS", True, None)


def test_ses_gives_up_after_72_hours_until_it_is_asked_again(clients: Clients) -> None:
    clients.ses.create_email_identity(EmailIdentity="acme-mail.io")
    clients.simulator.advance_clock(73 * 3600)
    assert clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerificationStatus"] == "FAILED"
    clients.publish_dns("acme-mail.io")
    assert clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerificationStatus"] == "FAILED"
    clients.ses.put_email_identity_dkim_signing_attributes(
        EmailIdentity="acme-mail.io", SigningAttributesOrigin="AWS_SES"
    )
    assert clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerificationStatus"] == "SUCCESS"


def test_the_mail_from_domain_wants_exactly_one_exchange(clients: Clients) -> None:
    clients.verified_domain("acme-mail.io")
    name, exchange = "bounce.acme-mail.io", "10 feedback-smtp.ap-southeast-1.amazonses.com"
    spf = record("TXT", name, '"v=spf1 include:amazonses.com ~all"')

    def status() -> str:
        answer = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")
        return str(answer["MailFromAttributes"]["MailFromDomainStatus"])

    def restart() -> None:
        clients.ses.put_email_identity_mail_from_attributes(EmailIdentity="acme-mail.io", MailFromDomain=name)

    restart()
    assert status() == "PENDING"
    clients.simulator.put_dns([spf, record("MX", name, exchange), record("MX", name, "20 mx.other.io")])
    assert status() == "FAILED"
    clients.simulator.put_dns([record("MX", name, exchange)])
    assert status() == "FAILED"
    restart()
    assert status() == "SUCCESS"
    clients.simulator.put_dns([record("MX", name, "10 mx.other.io")])
    assert status() == "TEMPORARY_FAILURE"
    clients.simulator.advance_clock(73 * 3600)
    assert status() == "FAILED"
    restart()
    assert status() == "PENDING"


def test_an_address_is_verified_when_its_owner_clicks(clients: Clients) -> None:
    clients.ses.create_email_identity(EmailIdentity="Me@acme-mail.io")
    assert not clients.ses.get_email_identity(EmailIdentity="me@acme-mail.io")["VerifiedForSendingStatus"]
    clients.simulator.scenario(verified_addresses=["me@acme-mail.io"])
    assert clients.ses.get_email_identity(EmailIdentity="me@acme-mail.io")["VerifiedForSendingStatus"]


def test_what_ses_saw_and_when_is_told(clients: Clients) -> None:
    clients.ses.create_email_identity(EmailIdentity="acme-mail.io")

    def told() -> dict[str, Any]:
        answer: dict[str, Any] = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")
        return dict(answer["VerificationInfo"])

    assert told().keys() == {"LastCheckedTimestamp", "ErrorType"}
    soa = "ns1.host.example. dns.host.example. 7 7200 900 1209600 300"
    clients.simulator.put_dns([record("SOA", "acme-mail.io", soa)])
    clients.publish_dns("acme-mail.io")
    found = told()
    assert found["LastSuccessTimestamp"] == found["LastCheckedTimestamp"]
    assert found["SOARecord"] == {
        "PrimaryNameServer": "ns1.host.example",
        "AdminEmail": "dns.host.example",
        "SerialNumber": 7,
    }
    held = clients.simulator.call("GET", "/_sim/dns")
    clients.simulator.remove_dns(*(each for each in held if each["type"] == "CNAME"))
    lost = told()
    assert lost["LastCheckedTimestamp"] > lost["LastSuccessTimestamp"]


def test_the_older_text_record_verifies_while_dkim_is_pending(clients: Clients, older: Any) -> None:
    clients.ses.create_email_identity(EmailIdentity="acme-mail.io")
    token = older.verify_domain_identity(Domain="ACME-mail.io")["VerificationToken"]
    assert older.verify_domain_identity(Domain="acme-mail.io")["VerificationToken"] == token

    def seen() -> tuple[str, str, bool]:
        answer = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")
        dkim = answer["DkimAttributes"]["Status"]
        return answer["VerificationStatus"], dkim, answer["VerifiedForSendingStatus"]

    clients.simulator.put_dns([record("TXT", "_amazonses.acme-mail.io", "another")])
    assert seen() == ("PENDING", "PENDING", False)
    clients.simulator.put_dns([record("TXT", "_amazonses.acme-mail.io", token)])
    assert seen() == ("SUCCESS", "PENDING", True)
    clients.publish_dns("acme-mail.io")
    clients.simulator.remove_dns(record("TXT", "_amazonses.acme-mail.io", ""))
    assert seen() == ("SUCCESS", "SUCCESS", True)


def test_the_older_api_tells_what_it_knows_of_each_identity(clients: Clients, older: Any) -> None:
    clients.verified_domain("acme-mail.io")
    token = older.verify_domain_identity(Domain="globex-post.net")["VerificationToken"]
    clients.ses.create_email_identity(EmailIdentity="me@globex-post.net")
    names = ["acme-mail.io", "globex-post.net", "me@globex-post.net", "unknown.io"]
    found = older.get_identity_verification_attributes(Identities=names)["VerificationAttributes"]
    assert found == {
        "acme-mail.io": {"VerificationStatus": "Success"},
        "globex-post.net": {"VerificationStatus": "Pending", "VerificationToken": token},
        "me@globex-post.net": {"VerificationStatus": "Pending"},
    }
    assert older.get_identity_verification_attributes(Identities=[])["VerificationAttributes"] == {}


def test_a_domain_begun_in_the_older_api_gets_dkim_when_it_is_asked_for(clients: Clients, older: Any) -> None:
    older.verify_domain_identity(Domain="acme-mail.io")
    dkim = clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["DkimAttributes"]
    assert (dkim["Status"], dkim["SigningEnabled"], "Tokens" in dkim) == ("NOT_STARTED", False, False)
    begun = clients.ses.put_email_identity_dkim_signing_attributes(
        EmailIdentity="acme-mail.io", SigningAttributesOrigin="AWS_SES"
    )
    assert (begun["DkimStatus"], len(begun["DkimTokens"])) == ("PENDING", 3)
    clients.publish_dns("acme-mail.io")
    assert clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerifiedForSendingStatus"]


def test_the_older_watch_ends_after_72_hours_and_begins_when_asked_again(
    clients: Clients, older: Any
) -> None:
    token = older.verify_domain_identity(Domain="acme-mail.io")["VerificationToken"]
    clients.simulator.advance_clock(73 * 3600)
    clients.simulator.put_dns([record("TXT", "_amazonses.acme-mail.io", token)])

    def status() -> str:
        return str(clients.ses.get_email_identity(EmailIdentity="acme-mail.io")["VerificationStatus"])

    assert status() == "FAILED"
    older.verify_domain_identity(Domain="acme-mail.io")
    assert status() == "SUCCESS"


def refusal(call: Any, **arguments: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_the_older_api_refuses_in_its_own_codes(clients: Clients, older: Any) -> None:
    assert refusal(older.verify_domain_identity, Domain="not a domain") == ("InvalidParameterValue", 400)
    assert refusal(older.list_identities) == ("InvalidAction", 400)
    clients.simulator.faults(
        {"kind": "throttle", "operation": "VerifyDomainIdentity"},
        {"kind": "error", "operation": "VerifyDomainIdentity", "status": 403, "code": "AccessDenied"},
        {"kind": "error", "operation": "VerifyDomainIdentity"},
    )
    domain = {"Domain": "acme-mail.io"}
    assert refusal(older.verify_domain_identity, **domain) == ("Throttling", 400)
    assert refusal(older.verify_domain_identity, **domain) == ("AccessDenied", 403)
    assert refusal(older.verify_domain_identity, **domain) == ("InternalFailure", 500)
    assert clients.ses.list_email_identities()["EmailIdentities"] == []
