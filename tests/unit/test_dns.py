"""DNS look-ups against a small real server: what is there, what is not, and what nobody can tell."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from core.dns import DnsRecord, Resolver, Verdict, diagnose
from core.errors import ConfigurationError

ZONE = {
    ("tok1._domainkey.acme-mail.io", "CNAME"): ["Tok1.dkim.AmazonSES.com."],
    ("acme-mail.io", "TXT"): ['"site-verification=1"', '"v=spf1 include:amazon" "ses.com ~all"'],
    ("_dmarc.acme-mail.io", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:d@acme-mail.io"'],
    ("other.acme-mail.io", "TXT"): ['"v=spf1 include:mail.globex-post.net ~all"'],
    ("twice.acme-mail.io", "TXT"): ['"v=spf1 include:amazonses.com ~all"', '"v=spf1 -all"'],
    ("bounce.acme-mail.io", "MX"): ["10 feedback-smtp.ap-southeast-1.amazonses.com."],
    ("plain.acme-mail.io", "TXT"): ['"something else"'],
}
Reply = Callable[[dns.message.Message], dns.message.Message | None]


def from_zone(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    [question] = query.question
    name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
    if values := ZONE.get((name, kind)):
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", kind, *values))
    elif not any(known == name for known, _ in ZONE):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def failing(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply


def silent(_query: dns.message.Message) -> None:
    return None


@contextmanager
def server(reply: Reply) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.1)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    wire, asker = listening.recvfrom(4096)
                except TimeoutError:
                    continue
                if answer := reply(dns.message.from_wire(wire)):
                    listening.sendto(answer.to_wire(), asker)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stop.set()
            thread.join()


@pytest.fixture(scope="module")
def zone() -> Iterator[Resolver]:
    with server(from_zone) as address:
        yield Resolver(address)


def record(type: str, name: str, value: str) -> DnsRecord:
    return DnsRecord(type=type, name=name, value=value, purpose="", required=True)


def test_chunks_of_a_txt_record_are_joined(zone: Resolver) -> None:
    assert zone.lookup("acme-mail.io", "TXT").values == (
        "site-verification=1",
        "v=spf1 include:amazonses.com ~all",
    )


def test_what_is_not_there_is_no_error(zone: Resolver) -> None:
    nothing, other_type = (
        zone.lookup("nothing.acme-mail.io", "TXT"),
        zone.lookup("plain.acme-mail.io", "CNAME"),
    )
    assert (nothing.values, nothing.error, nothing.exists) == ((), None, False)
    assert (other_type.values, other_type.error, other_type.exists) == ((), None, True)


@pytest.mark.parametrize(
    ("type", "name", "value", "verdict"),
    [
        ("CNAME", "tok1._domainkey.acme-mail.io", "tok1.dkim.amazonses.com", Verdict.FOUND),
        ("CNAME", "tok1._domainkey.acme-mail.io", "tok2.dkim.amazonses.com", Verdict.DIFFERENT),
        ("CNAME", "tok2._domainkey.acme-mail.io", "tok2.dkim.amazonses.com", Verdict.MISSING),
        ("TXT", "acme-mail.io", "v=spf1 include:amazonses.com ~all", Verdict.FOUND),
        ("TXT", "other.acme-mail.io", "v=spf1 include:amazonses.com ~all", Verdict.DIFFERENT),
        ("TXT", "twice.acme-mail.io", "v=spf1 include:amazonses.com ~all", Verdict.DIFFERENT),
        ("TXT", "plain.acme-mail.io", "v=spf1 include:amazonses.com ~all", Verdict.MISSING),
        ("TXT", "_dmarc.acme-mail.io", "v=DMARC1; p=none;", Verdict.FOUND),
        ("MX", "bounce.acme-mail.io", "10 feedback-smtp.ap-southeast-1.amazonses.com", Verdict.FOUND),
    ],
)
def test_each_record_is_judged(zone: Resolver, type: str, name: str, value: str, verdict: Verdict) -> None:
    [finding] = diagnose("acme-mail.io", [record(type, name, value)], zone)
    assert finding.verdict is verdict
    assert bool(finding.advice) is (verdict is not Verdict.FOUND)


def test_findings_come_in_the_order_of_the_records(zone: Resolver) -> None:
    wanted = [record("TXT", f"n{number}.acme-mail.io", "x") for number in range(20)]
    assert [finding.record for finding in diagnose("acme-mail.io", wanted, zone)] == wanted
    assert diagnose("acme-mail.io", [], zone) == []


@pytest.mark.parametrize("reply", [failing, silent])
def test_an_error_is_never_found_nor_missing_and_ends_in_time(reply: Reply) -> None:
    wanted = [record("TXT", f"n{number}.acme-mail.io", "x") for number in range(5)]
    began = time.monotonic()
    with server(reply) as address:
        findings = diagnose("acme-mail.io", wanted, Resolver(address))
    assert {finding.verdict for finding in findings} == {Verdict.UNKNOWN}
    assert time.monotonic() - began < 8


def test_the_second_server_is_asked_when_the_first_is_silent() -> None:
    with server(silent) as mute, server(from_zone) as answering:
        resolver = Resolver(f"{mute}, {answering}")
        assert resolver.lookup("plain.acme-mail.io", "TXT").values == ("something else",)


@pytest.mark.parametrize("name", ["a..b", "x" * 70 + ".io", ""])
def test_a_name_that_cannot_exist_is_an_answer_not_a_crash(zone: Resolver, name: str) -> None:
    assert zone.lookup(name, "TXT").values == ()


@pytest.mark.parametrize("servers", ["127.0.0.1:port", "nowhere.invalid:53"])
def test_a_server_that_is_none_says_which_setting_to_change(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="POSTYARD_DNS_SERVERS"):
        Resolver(servers)
