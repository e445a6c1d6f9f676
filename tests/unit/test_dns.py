"""Asking DNS, against small real servers: whom, how, and what becomes of servers that err."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from core.dns import DnsRecord, Finding, Mistake, Resolver, Verdict, diagnose, not_checked
from core.dns.addresses import is_public
from core.dns.advice import ADVICE
from core.dns.look import Look
from core.dns.resolver import registrable
from core.dns.wire import Server
from core.errors import ConfigurationError
from tests.dns_servers import Reply, Zone, failing, holding, server, silent

DOMAIN = "acme-mail.io"
ZONE: Zone = {
    (DOMAIN, "TXT"): ['"site-verification=1"', '"v=spf1 include:amazon" "ses.com ~all"'],
    ("plain.acme-mail.io", "TXT"): ['"something else"'],
    ("_dmarc.acme-mail.io", "TXT"): ['"v=DMARC1; p=none"'],
    ("www.acme-mail.io", "CNAME"): ["shop.globex-post.net."],
}


@pytest.fixture(scope="module")
def zone() -> Iterator[Resolver]:
    with server(holding(ZONE)) as address:
        yield Resolver(address)


def record(type: str, name: str, value: str) -> DnsRecord:
    return DnsRecord(type=type, name=name, value=value, purpose="", required=True)


SPF = record("TXT", DOMAIN, "v=spf1 include:amazonses.com ~all")


def test_strings_of_a_txt_record_are_joined(zone: Resolver) -> None:
    assert zone.lookup(DOMAIN, "TXT").values == ("site-verification=1", "v=spf1 include:amazonses.com ~all")


def test_what_is_not_there_is_no_error(zone: Resolver) -> None:
    nothing = zone.lookup("nothing.acme-mail.io", "TXT")
    assert (nothing.values, nothing.error, nothing.exists) == ((), None, False)
    other_type = zone.lookup("plain.acme-mail.io", "CNAME")
    assert (other_type.values, other_type.error, other_type.exists) == ((), None, True)


def test_findings_come_in_the_order_of_the_records(zone: Resolver) -> None:
    wanted = [record("TXT", f"n{number}.acme-mail.io", "x") for number in range(20)]
    assert [finding.record for finding in diagnose(DOMAIN, wanted, zone)] == wanted
    assert diagnose(DOMAIN, [], zone) == []


@pytest.mark.parametrize("reply", [failing, silent])
def test_an_error_is_never_found_nor_missing_and_ends_in_time(reply: Reply) -> None:
    wanted = [record("TXT", f"n{number}.acme-mail.io", "x") for number in range(5)]
    began = time.monotonic()
    with server(reply) as address:
        findings = diagnose(DOMAIN, wanted, Resolver(address), within_seconds=0.5)
    assert {finding.verdict for finding in findings} == {Verdict.UNKNOWN}
    assert time.monotonic() - began < 1.5


def test_a_server_that_drops_the_first_datagram_is_asked_again() -> None:
    asked: list[dns.message.Message] = []
    answer = holding(ZONE)

    def deaf_at_first(query: dns.message.Message) -> dns.message.Message | None:
        asked.append(query)
        return answer(query) if len(asked) > 1 else None

    with server(deaf_at_first) as address:
        assert Resolver(address).lookup("plain.acme-mail.io", "TXT").values == ("something else",)


def test_one_of_two_servers_is_enough() -> None:
    with server(failing) as broken, server(holding(ZONE)) as answering:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(f"{broken}, {answering}"))
    assert finding.verdict is Verdict.FOUND


def test_servers_that_disagree_are_named_and_the_record_is_not_there_yet() -> None:
    old = {**ZONE, (DOMAIN, "TXT"): ['"site-verification=1"']}
    with server(holding(ZONE)) as new_one, server(holding(old)) as old_one:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(f"{new_one},{old_one}"))
    assert (finding.verdict, finding.mistake) == (Verdict.MISSING, Mistake.SERVERS_DISAGREE)
    assert "DNS server 1 has the record, DNS server 2 has site-verification=1" in finding.advice
    assert finding.others == ("site-verification=1",)


def test_servers_that_differ_only_in_what_is_not_ours_do_not_disagree() -> None:
    old = {**ZONE, (DOMAIN, "TXT"): ['"v=spf1 include:amazonses.com ~all"']}
    with server(holding(ZONE)) as new_one, server(holding(old)) as old_one:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(f"{new_one},{old_one}"))
    assert finding.verdict is Verdict.FOUND


def test_a_record_that_resolvers_fail_over_is_not_found() -> None:
    """As with broken DNSSEC: the zone's own servers have it, and nobody gets it."""
    own = holding(ZONE)
    with server(lambda query: failing(query) if query.flags & dns.flags.RD else own(query)) as address:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(address))
    assert (finding.verdict, finding.mistake) == (Verdict.UNKNOWN, Mistake.RESOLVERS_FAIL)
    assert "DNSSEC" in finding.advice


@pytest.mark.parametrize("refuses", [True, False])
def test_a_given_server_that_is_only_a_resolver_is_asked_as_one(refuses: bool) -> None:
    resolve = holding(ZONE, flags=dns.flags.RA)

    def reply(query: dns.message.Message) -> dns.message.Message:
        if query.flags & dns.flags.RD:
            return resolve(query)
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.REFUSED if refuses else dns.rcode.NOERROR)
        return answer

    with server(reply) as address:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(address))
    assert finding.verdict is Verdict.FOUND


@pytest.mark.parametrize("name", ["a..b", "x" * 70 + ".io", ""])
def test_a_name_that_cannot_exist_is_an_answer_not_a_crash(zone: Resolver, name: str) -> None:
    assert zone.lookup(name, "TXT").values == ()


@pytest.mark.parametrize("servers", ["127.0.0.1:port", "nowhere.invalid:53"])
def test_a_server_that_is_none_says_which_setting_to_change(servers: str) -> None:
    with pytest.raises(ConfigurationError, match="POSTYARD_DNS_SERVERS"):
        Resolver(servers)


def resolving(zone: Zone, asked: list[str]) -> Reply:
    """The system's resolver, which knows where acme-mail.io's servers are."""
    world = {
        **zone,
        (DOMAIN, "NS"): ["ns1.globex-post.net."],
        ("ns1.globex-post.net", "A"): ["127.0.0.1"],
        ("below.globex-post.net", "A"): ["127.0.0.1"],
    }
    answer = holding(world, flags=dns.flags.RA)

    def reply(query: dns.message.Message) -> dns.message.Message | None:
        asked.append(query.question[0].name.to_text())
        return answer(query)

    return reply


@contextmanager
def looking(
    own: Reply,
    world: Zone,
    may_ask: Callable[[str], bool] = lambda _: True,
    seconds: float = 1.0,
    resolver_as: Callable[[Reply], Reply] = lambda reply: reply,
) -> Iterator[Look]:
    """A look at acme-mail.io through a resolver that knows `world`, with `own` as the zone's server."""
    with server(own) as authority, server(resolver_as(resolving(world, []))) as resolver:
        at, own_port = Server("127.0.0.1", _port(resolver)), _port(authority)
        with Look(DOMAIN, [at], fixed=False, seconds=seconds, may_ask=may_ask, port=own_port) as look:
            look.find_zone(DOMAIN)
            yield look


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_the_zones_own_servers_are_believed_before_the_resolver() -> None:
    with looking(holding(ZONE), {(DOMAIN, "TXT"): ['"old"']}) as look:
        assert "site-verification=1" in look.ask(DOMAIN, "TXT").values
        assert look.ask_resolvers(DOMAIN, "TXT").values == ("old",)


def test_a_domain_cannot_send_us_to_an_address_that_is_not_public() -> None:
    asked: list[dns.message.Message] = []

    def own(query: dns.message.Message) -> None:
        asked.append(query)

    with looking(own, {(DOMAIN, "TXT"): ['"by the resolver"']}, may_ask=is_public) as look:
        assert look.ask(DOMAIN, "TXT").values == ("by the resolver",)
    assert asked == []


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "224.0.0.1", "192.0.0.9", "0.0.0.0"),
        *("::1", "::", "fd00::1", "fe80::1", "fec0::1", "ff0e::1", "5f00::1", "2001:db8::1", "3fff::1"),
        # with 127.0.0.1, 10.1.2.3 or 169.254.169.254 inside
        *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::a01:203", "64:ff9b:1::a9fe:a9fe", "2002:a01:203::1"),
        *("2001:0:a01:203::1", "::ffff:8.8.8.8", "64:ff9b::808:808"),
    ],
)
def test_addresses_of_our_own_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "205.251.192.1", "2600:9000:5300:100::1", "2a06:98c1:50::1"])
def test_addresses_of_everybodys_networks_are_public(address: str) -> None:
    assert is_public(address)


def only_unchecked(answer: Reply) -> Reply:
    """Of a resolver that checks DNSSEC signatures, where they are broken."""
    return lambda query: answer(query) if query.flags & dns.flags.CD else failing(query)


def test_broken_dnssec_does_not_hide_the_zones_own_servers() -> None:
    with looking(holding(ZONE), {}, resolver_as=only_unchecked) as look:
        assert "v=spf1 include:amazonses.com ~all" in look.ask(DOMAIN, "TXT").values
        told = look.ask_resolvers(DOMAIN, "TXT")
    assert told.failed
    assert "DNSSEC" in str(told.error)
    assert "127.0.0.1" not in str(told.error)


@pytest.mark.parametrize("reply", [failing, silent])
def test_a_resolver_that_fails_is_not_called_the_domains_server_nor_shown(reply: Reply) -> None:
    with server(reply) as resolver:
        at = [Server("127.0.0.1", _port(resolver))]
        with Look(DOMAIN, at, fixed=False, seconds=0.5) as look:
            look.find_zone(DOMAIN)
            error = str(look.ask(DOMAIN, "TXT").error)
    assert "127.0.0.1" not in error
    assert "name servers" not in error
    assert "resolver" in error


def test_servers_are_called_by_their_names() -> None:
    with looking(failing, {}) as look:
        assert "ns1.globex-post.net: SERVFAIL" in str(look.ask(DOMAIN, "TXT").error)


def test_a_zone_delegated_further_is_followed() -> None:
    below = holding({("k1._domainkey.acme-mail.io", "CNAME"): ["k1.dkim.amazonses.com."]})
    asked: list[str] = []

    def own(query: dns.message.Message) -> dns.message.Message | None:
        asked.append(query.question[0].name.to_text())
        if len(asked) > 1:
            return below(query)
        referral = dns.message.make_response(query)
        child = dns.name.from_text("_domainkey.acme-mail.io")
        referral.authority.append(dns.rrset.from_text(child, 60, "IN", "NS", "below.globex-post.net."))
        return referral

    with looking(own, {}) as look:
        assert look.ask("k1._domainkey.acme-mail.io", "CNAME").values == ("k1.dkim.amazonses.com",)
    assert len(asked) == 2


def test_a_cname_out_of_the_zone_is_followed_by_the_resolver() -> None:
    with looking(holding(ZONE), {("shop.globex-post.net", "TXT"): ['"theirs"']}) as look:
        answer = look.ask("www.acme-mail.io", "TXT")
    assert (answer.values, answer.alias) == (("theirs",), "shop.globex-post.net")


@pytest.mark.slow
def test_where_only_the_resolver_may_be_asked_its_word_does() -> None:
    with looking(silent, {(DOMAIN, "TXT"): ['"by the resolver"']}, seconds=4.0) as look:
        assert look.ask(DOMAIN, "TXT").values == ("by the resolver",)


def test_a_server_that_does_not_know_the_zone_is_no_answer() -> None:
    with looking(holding(ZONE, flags=0), {}) as look:
        assert "correct that at the registrar" in str(look.ask(DOMAIN, "TXT").error)


def test_a_host_without_resolver_says_so() -> None:
    with Look(DOMAIN, [], fixed=False, seconds=1.0) as look:
        look.find_zone(DOMAIN)
        assert "no DNS resolver" in str(look.ask(DOMAIN, "TXT").error)


def test_an_spf_record_is_parsed_without_asking_anybody_else() -> None:
    """checkdmarc looks exp= up with the system's resolver, whatever it is given."""
    asked: list[str] = []
    text = "v=spf1 a:plain.acme-mail.io include:amazonses.com exp=why.globex-post.net ~all"
    answer = holding({**ZONE, (DOMAIN, "TXT"): [f'"{text}"'], ("plain.acme-mail.io", "A"): ["192.0.2.1"]})

    def reply(query: dns.message.Message) -> dns.message.Message | None:
        asked.append(query.question[0].name.to_text(omit_final_dot=True))
        return answer(query)

    with server(reply) as address:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(address))
    assert finding.verdict is Verdict.FOUND
    assert set(asked) == {DOMAIN, "plain.acme-mail.io"}


@pytest.mark.parametrize(
    ("domain", "owned"),
    [
        ("news.eu.acme-mail.io", "acme-mail.io"),
        ("mail.acme.co.uk", "acme.co.uk"),
        ("acme.github.io", "acme.github.io"),
        ("io", "io"),
    ],
)
def test_what_somebody_registered_is_found_in_the_list_of_public_suffixes(domain: str, owned: str) -> None:
    assert registrable(domain) == owned


def test_a_finding_survives_being_stored() -> None:
    finding = Finding(
        SPF, ("v=spf1 -all",), Verdict.DIFFERENT, Mistake.SPF_WITHOUT_SES, "Do.", "better", 60, ("a", "b")
    )
    assert Finding.from_json(finding.as_json()) == finding
    renewed = record("TXT", DOMAIN, "v=spf1 include:amazonses.com -all")
    assert Finding.from_json(finding.as_json(), renewed).record == renewed
    assert not_checked(SPF).as_json()["mistake"] == "not checked"


def test_a_record_is_known_by_its_key_whatever_value_is_expected() -> None:
    dmarc, owned = record("TXT", DOMAIN, "v=DMARC1; p=none"), record("TXT", f"_amazonses.{DOMAIN}", "x=")
    assert SPF.key == record("TXT", DOMAIN, "v=spf1 -all").key == f"TXT {DOMAIN} spf"
    assert len({SPF.key, dmarc.key, owned.key, record("MX", DOMAIN, "10 a").key}) == 4


def test_every_mistake_has_its_sentence() -> None:
    assert set(ADVICE) == set(Mistake)
