"""The DNS server: what zones have by themselves, wildcards, aliases, caches, and servers that misbehave."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.resolver
import pytest

from tests.contract.simulator_clients import Clients
from tests.simulators import Simulator

Ask = Callable[..., dns.message.Message]


def record(kind: str, name: str, value: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "name": name, "value": value, **more}


def address(simulator: Simulator) -> tuple[str, int]:
    host, port = simulator.dns.split(":")
    return host, int(port)


@pytest.fixture
def ask(simulator: Simulator) -> Ask:
    """One query: to a zone's own server, unless recursion is desired."""
    host, port = address(simulator)

    def asked(
        name: str, kind: str, *, recursive: bool = False, tcp: bool = False, timeout: float = 2
    ) -> dns.message.Message:
        query = dns.message.make_query(name, kind, flags=dns.flags.RD if recursive else 0)
        transport = dns.query.tcp if tcp else dns.query.udp
        return transport(query, host, port=port, timeout=timeout)

    return asked


def told(reply: dns.message.Message) -> list[str]:
    """The answer section, one line a record: name ttl type value."""
    return [
        f"{rrset.name} {rrset.ttl} {dns.rdatatype.to_text(rrset.rdtype)} {rdata.to_text()}"
        for rrset in reply.answer
        for rdata in sorted(rrset, key=str)
    ]


def test_a_record_lives_as_long_as_it_says(simulator: Simulator, ask: Ask) -> None:
    name = "acme-mail.io"
    simulator.put_dns(
        [record("TXT", name, "v=spf1 -all", ttl=86_400), record("MX", name, "10 mx.acme-mail.io")]
    )
    assert told(ask(name, "TXT")) == ['acme-mail.io. 86400 TXT "v=spf1 -all"']
    assert told(ask(name, "MX")) == ["acme-mail.io. 60 MX 10 mx.acme-mail.io."]
    held = {(each["type"], each["ttl"]) for each in simulator.call("GET", "/_sim/dns")}
    assert held == {("TXT", 86_400), ("MX", 60)}


def test_what_is_not_there_is_remembered_as_long_as_the_soa_says(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns(
        [record("SOA", "acme-mail.io", "ns1.host.example. dns.host.example. 7 7200 900 1209600 300", ttl=900)]
    )
    reply = ask("_dmarc.acme-mail.io", "TXT")
    assert reply.rcode() == dns.rcode.NXDOMAIN
    assert (reply.authority[0].name.to_text(), reply.authority[0].ttl) == ("acme-mail.io.", 300)


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("_dmarc.acme.co.uk", "acme.co.uk."),
        ("x.y.acme-mail.io", "acme-mail.io."),
        ("x.eu.acme-mail.io", "eu.acme-mail.io."),
        ("www.nobody-has-this.io", "io."),
    ],
)
def test_every_name_is_in_a_zone_with_a_soa(simulator: Simulator, name: str, zone: str) -> None:
    simulator.put_dns(
        [
            record("TXT", "acme.co.uk", "x"),
            record("TXT", "acme-mail.io", "x"),
            record("SOA", "eu.acme-mail.io", "ns1.host.example. dns.host.example. 7 7200 900 1209600 60"),
        ]
    )
    resolver = dns.resolver.Resolver(configure=False)
    [host, resolver.port] = address(simulator)
    resolver.nameservers = [host]
    assert dns.resolver.zone_for_name(name, resolver=resolver).to_text() == zone
    assert len(resolver.resolve(zone, "NS")) == 2


def test_a_wildcard_answers_for_names_that_do_not_exist(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns(
        [
            record("CNAME", "*.acme-mail.io", "parking.host.example", ttl=300),
            record("A", "parking.host.example", "192.0.2.80"),
            record("TXT", "_dmarc.acme-mail.io", "v=DMARC1; p=none"),
            record("TXT", "a.deep.acme-mail.io", "x"),
        ]
    )
    assert told(ask("any.thing.acme-mail.io", "A")) == [
        "any.thing.acme-mail.io. 300 CNAME parking.host.example.",
        "parking.host.example. 60 A 192.0.2.80",
    ]
    assert told(ask("token._domainkey.acme-mail.io", "CNAME")) == [
        "token._domainkey.acme-mail.io. 300 CNAME parking.host.example."
    ]
    assert told(ask("_dmarc.acme-mail.io", "CNAME")) == []
    assert ask("_dmarc.acme-mail.io", "CNAME").rcode() == dns.rcode.NOERROR
    assert ask("deep.acme-mail.io", "A").rcode() == dns.rcode.NOERROR
    assert ask("b.deep.acme-mail.io", "A").rcode() == dns.rcode.NXDOMAIN
    assert told(ask("ns1.acme-mail.io", "A")) == ["ns1.acme-mail.io. 60 A 127.0.0.1"]


def test_a_wildcard_of_another_type_makes_the_name_exist(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns([record("MX", "*.acme-mail.io", "10 mx.acme-mail.io")])
    reply = ask("bounce.acme-mail.io", "TXT")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


def test_an_alias_beside_other_records_is_served_as_it_is(simulator: Simulator, ask: Ask) -> None:
    name = "_dmarc.acme-mail.io"
    simulator.put_dns(
        [
            record("CNAME", name, "dmarc.host.example"),
            record("TXT", name, "v=DMARC1; p=none"),
            record("A", "dmarc.host.example", "192.0.2.1"),
        ]
    )
    assert told(ask(name, "TXT")) == [f'{name}. 60 TXT "v=DMARC1; p=none"']
    assert told(ask(name, "CNAME")) == [f"{name}. 60 CNAME dmarc.host.example."]
    assert told(ask(name, "A")) == [
        f"{name}. 60 CNAME dmarc.host.example.",
        "dmarc.host.example. 60 A 192.0.2.1",
    ]


def test_aliases_that_go_round_are_shown_by_their_zone_and_given_up_by_resolvers(
    simulator: Simulator, ask: Ask
) -> None:
    simulator.put_dns(
        [
            record("CNAME", "a.acme-mail.io", "b.acme-mail.io"),
            record("CNAME", "b.acme-mail.io", "A.acme-mail.io"),
        ]
    )
    reply = ask("a.acme-mail.io", "TXT")
    assert reply.rcode() == dns.rcode.NOERROR
    assert [each.lower() for each in told(reply)] == [
        "a.acme-mail.io. 60 cname b.acme-mail.io.",
        "b.acme-mail.io. 60 cname a.acme-mail.io.",
    ]
    assert ask("a.acme-mail.io", "TXT", recursive=True).rcode() == dns.rcode.SERVFAIL


def test_a_text_may_be_of_several_strings(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns(
        [
            record("TXT", "split.acme-mail.io", '"v=spf1 include:amazonses.com" " ~all"'),
            record("TXT", "quoted.acme-mail.io", r'"\"v=spf1 ~all\""'),
            record("TXT", "long.acme-mail.io", "p" * 300),
        ]
    )

    def strings(name: str) -> list[int]:
        return [len(part) for part in ask(name, "TXT").answer[0][0].strings]

    assert strings("split.acme-mail.io") == [28, 5]
    assert strings("long.acme-mail.io") == [255, 45]
    assert told(ask("quoted.acme-mail.io", "TXT")) == [r'quoted.acme-mail.io. 60 TXT "\"v=spf1 ~all\""']


def test_a_silent_server_answers_nobody(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns([record("TXT", "acme-mail.io", "x"), record("TXT", "globex-post.net", "y")])
    simulator.dns_faults({"kind": "silent", "name": "acme-mail.io"})
    for tcp in (False, True):
        with pytest.raises(dns.exception.Timeout):
            ask("_dmarc.acme-mail.io", "TXT", tcp=tcp, timeout=0.2)
        assert told(ask("globex-post.net", "TXT", tcp=tcp))
    simulator.dns_faults()
    assert told(ask("acme-mail.io", "TXT"))


@pytest.mark.parametrize(("kind", "code"), [("refuse", dns.rcode.REFUSED), ("servfail", dns.rcode.SERVFAIL)])
def test_a_server_refuses_or_fails(simulator: Simulator, ask: Ask, kind: str, code: dns.rcode.Rcode) -> None:
    simulator.put_dns(
        [record("TXT", "acme-mail.io", "x"), record("MX", "acme-mail.io", "10 mx.acme-mail.io")]
    )
    simulator.dns_faults({"kind": kind, "type": "TXT"})
    for tcp in (False, True):
        assert ask("acme-mail.io", "TXT", tcp=tcp).rcode() == code
        assert told(ask("acme-mail.io", "MX", tcp=tcp))


def test_a_truncated_answer_is_whole_over_tcp_or_nowhere(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns([record("TXT", "acme-mail.io", "x")])
    simulator.dns_faults({"kind": "truncate"})
    assert ask("acme-mail.io", "TXT").flags & dns.flags.TC
    assert told(ask("acme-mail.io", "TXT", tcp=True)) == ['acme-mail.io. 60 TXT "x"']
    simulator.dns_faults({"kind": "truncate", "tcp": False})
    assert ask("acme-mail.io", "TXT").flags & dns.flags.TC
    with pytest.raises((EOFError, OSError, struct.error)):
        ask("acme-mail.io", "TXT", tcp=True)


def test_a_resolver_remembers_what_the_zone_has_changed(simulator: Simulator, ask: Ask) -> None:
    simulator.put_dns([record("TXT", "acme-mail.io", "new"), record("TXT", "_dmarc.acme-mail.io", "new")])
    simulator.dns_faults(
        {"kind": "stale", "name": "acme-mail.io", "type": "TXT", "values": ["old", "older"], "ttl": 7200},
        {"kind": "stale", "name": "_dmarc.acme-mail.io", "ttl": 3000},
    )
    cached = ask("acme-mail.io", "TXT", recursive=True)
    assert told(cached) == ['acme-mail.io. 7200 TXT "old"', 'acme-mail.io. 7200 TXT "older"']
    assert not cached.flags & dns.flags.AA
    fresh = ask("acme-mail.io", "TXT")
    assert (told(fresh), bool(fresh.flags & dns.flags.AA)) == (['acme-mail.io. 60 TXT "new"'], True)
    nothing = ask("_dmarc.acme-mail.io", "TXT", recursive=True)
    assert (nothing.answer, nothing.authority[0].ttl) == ([], 3000)
    assert told(ask("_dmarc.acme-mail.io", "TXT"))


def test_ses_tells_that_it_got_no_answer_and_changes_nothing(simulator: Simulator) -> None:
    clients = Clients.of(simulator)
    clients.verified_domain("acme-mail.io")
    clients.ses.create_email_identity(EmailIdentity="globex-post.net")

    def seen(domain: str) -> tuple[str, str | None]:
        answer = clients.ses.get_email_identity(EmailIdentity=domain)
        return answer["VerificationStatus"], answer["VerificationInfo"].get("ErrorType")

    simulator.dns_faults({"kind": "servfail"})
    assert seen("acme-mail.io") == ("SUCCESS", "DNS_SERVER_ERROR")
    assert seen("globex-post.net") == ("PENDING", "DNS_SERVER_ERROR")
    simulator.dns_faults({"kind": "truncate"})
    assert seen("acme-mail.io") == ("SUCCESS", None)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/_sim/dns", [record("TXT", "acme-mail.io", "x", ttl="long")]),
        ("PUT", "/_sim/dns", [record("TXT", "acme-mail.io", "x", ttl=-1)]),
        ("POST", "/_sim/dns_faults", {"kind": "silent"}),
        ("POST", "/_sim/dns_faults", [{"kind": "lazy"}]),
        ("POST", "/_sim/dns_faults", [{"kind": "silent", "colour": "red"}]),
        ("POST", "/_sim/dns_faults", [{"kind": "silent", "type": "NONSENSE"}]),
        ("POST", "/_sim/dns_faults", [{"kind": "stale", "values": ["x"]}]),
        ("POST", "/_sim/dns_faults", [{"kind": "stale", "type": "A", "values": ["x"]}]),
    ],
)
def test_what_cannot_be_is_refused_with_a_sentence(
    simulator: Simulator, method: str, path: str, body: Any
) -> None:
    status, text = simulator.refusal(method, path, body)
    assert status == 400
    assert text.endswith(".")


def test_a_reset_makes_dns_well_again(simulator: Simulator) -> None:
    simulator.dns_faults({"kind": "silent"})
    simulator.reset()
    assert simulator.call("GET", "/_sim/dns_faults") == []
