"""The DNS doctor against a real DNS server: zones in order, servers that err, resolvers that lag behind."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dns import Mistake, Resolver, diagnose, mail_from_taken
from tests.dns_zones import (
    DOMAIN,
    FOUND,
    HOST,
    KEYS,
    MISSING,
    NEWS,
    OWNERSHIP,
    SPF,
    UNKNOWN,
    Put,
    check,
    cname,
    includes,
    naming,
    publish,
    published,
    spf,
    wanted,
)
from tests.integration import test_dns_doctor_policies, test_dns_doctor_records
from tests.simulators import Simulator


def test_there_are_more_than_25_broken_zones_and_every_mistake_has_one() -> None:
    elsewhere = {
        *(Mistake.NOT_CHECKED, Mistake.NO_ANSWER, Mistake.NO_ZONE, Mistake.STALE),  # below
        *(Mistake.SERVERS_DISAGREE, Mistake.RESOLVERS_FAIL),  # tests/unit/test_dns.py
    }
    broken = [*test_dns_doctor_policies.BROKEN, *test_dns_doctor_records.BROKEN]
    assert len(broken) > 25
    assert {case.mistake for case in broken} | elsewhere == set(Mistake)


@pytest.mark.parametrize("domain", [DOMAIN, NEWS])
def test_a_zone_in_order_is_found_wholly_without_a_word(simulator: Simulator, domain: str) -> None:
    publish(simulator, published(domain))
    assert {name: (f.verdict, f.mistake, f.advice) for name, f in check(simulator, domain).items()} == {
        name: (FOUND, "", "") for name in wanted()
    }


@pytest.mark.parametrize(
    "put",
    [
        pytest.param(
            [spf(" ".join(f'"{part}"' for part in ("v=spf1 include:amazon", "ses.com ~all")))], id="strings"
        ),
        pytest.param([spf("V=SPF1 Include:AmazonSES.com ~ALL"), spf("site-verification=1")], id="capitals"),
        pytest.param(
            [spf(f"v=spf1 {naming(9)} include:amazonses.com -all"), *includes(9)], id="ten-look-ups"
        ),
        pytest.param(
            [spf(f"v=spf1 include:spf.{DOMAIN} -all"), ("TXT", f"spf.{DOMAIN}", SPF)], id="ses-in-an-include"
        ),
        pytest.param(
            [spf(f"v=spf1 redirect=spf.{DOMAIN}"), ("TXT", f"spf.{DOMAIN}", SPF)], id="ses-in-a-redirect"
        ),
        pytest.param([("MX", f"bounce.{DOMAIN}", f"5 {HOST.upper()}")], id="another-priority"),
        pytest.param(
            [
                ("TXT", f"_amazonses.{DOMAIN}", OWNERSHIP),
                ("TXT", f"_amazonses.{DOMAIN}", "another account's="),
            ],
            id="two-accounts-own-the-domain",
        ),
        pytest.param([("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; adkim=s")], id="strict-dkim"),
        pytest.param([("TXT", f"_dmarc.{DOMAIN}", '"v=DMARC1\\009;\\009p=none"')], id="tabs-in-dmarc"),
        pytest.param([("TXT", f"_dmarc.{DOMAIN}", "v = DMARC1 ; p = none")], id="spaces-in-dmarc"),
        pytest.param(
            [("CNAME", cname(KEYS[0]), f"{KEYS[0].upper()}.DKIM.AmazonSES.com")], id="cname-in-capitals"
        ),
        pytest.param(
            [
                ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none; rua=mailto:d@globex-post.net"),
                ("MX", "globex-post.net", "10 mail.globex-post.net"),
                ("TXT", f"{DOMAIN}._report._dmarc.globex-post.net", "v=DMARC1"),
            ],
            id="reports-agreed-to",
        ),
    ],
)
def test_what_only_looks_unusual_is_found(simulator: Simulator, put: Sequence[Put]) -> None:
    publish(simulator, published())
    publish(simulator, put)
    assert {(f.verdict, f.mistake) for f in check(simulator).values()} == {(FOUND, "")}


def test_dmarc_and_spf_may_be_delegated_by_a_cname(simulator: Simulator) -> None:
    publish(simulator, published(without=["dmarc"]))
    publish(
        simulator,
        [
            ("CNAME", f"_dmarc.{DOMAIN}", "acme.globex-post.net"),
            ("TXT", "acme.globex-post.net", "v=DMARC1; p=reject"),
        ],
    )
    assert check(simulator)["dmarc"].verdict is FOUND


def test_a_domain_that_is_not_registered_says_so(simulator: Simulator) -> None:
    findings = check(simulator, NEWS).values()
    assert {(finding.verdict, finding.mistake) for finding in findings} == {(MISSING, Mistake.NO_ZONE)}
    assert all(f"{DOMAIN} does not exist in DNS" in finding.advice for finding in findings)


def test_other_values_of_a_name_are_kept_in_mind_but_not_a_wildcards(simulator: Simulator) -> None:
    publish(simulator, published(without=["spf", "dmarc"]))
    publish(simulator, [spf("site-verification=1"), spf("v=spf1 -all"), ("TXT", f"*.{DOMAIN}", "anything")])
    findings = check(simulator)
    assert findings["spf"].others == ("site-verification=1",)
    assert findings["spf"].ttl_seconds == 60
    assert findings["dmarc"].others == ()


def test_an_include_that_cannot_be_looked_up_leaves_spf_unknown(simulator: Simulator) -> None:
    publish(simulator, published())
    publish(simulator, [spf("v=spf1 include:amazonses.com include:slow.globex-post.net ~all")])
    simulator.call("POST", "/_sim/dns_faults", [{"kind": "servfail", "name": "slow.globex-post.net"}])
    finding = check(simulator)["spf"]
    assert (finding.verdict, finding.mistake) == (UNKNOWN, Mistake.NO_ANSWER)
    assert "slow.globex-post.net" in finding.advice


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        pytest.param({"kind": "silent"}, "did not answer in time", id="silent"),
        pytest.param({"kind": "refuse"}, "refuse to answer", id="refuses"),
        pytest.param({"kind": "servfail"}, "SERVFAIL", id="fails"),
        pytest.param({"kind": "truncate", "tcp": False}, "TCP", id="truncates-and-has-no-tcp"),
    ],
)
def test_a_server_that_errs_leaves_all_unknown_in_time(
    simulator: Simulator, fault: dict[str, Any], words: str
) -> None:
    publish(simulator, published())
    simulator.call("POST", "/_sim/dns_faults", [fault])
    began = time.monotonic()
    findings = check(simulator, within_seconds=1.0).values()
    assert time.monotonic() - began < 2.0
    assert {(finding.verdict, finding.mistake) for finding in findings} == {(UNKNOWN, Mistake.NO_ANSWER)}
    assert all(words in finding.advice for finding in findings)
    assert not any("127.0.0.1" in finding.advice for finding in findings)  # what strangers see, too


@pytest.mark.slow
def test_all_records_of_a_domain_with_a_silent_server_take_less_than_10_seconds(simulator: Simulator) -> None:
    publish(simulator, published())
    simulator.call("POST", "/_sim/dns_faults", [{"kind": "silent"}])
    began = time.monotonic()
    findings = check(simulator, within_seconds=10.0)
    assert time.monotonic() - began < 10.0
    assert {finding.verdict for finding in findings.values()} == {UNKNOWN}


def test_a_server_silent_over_one_record_leaves_the_others_judged(simulator: Simulator) -> None:
    publish(simulator, published(without=["dkim1"]))
    simulator.call("POST", "/_sim/dns_faults", [{"kind": "silent", "name": f"_dmarc.{DOMAIN}"}])
    findings = check(simulator, within_seconds=1.0)
    assert findings.pop("dmarc").verdict is UNKNOWN
    assert findings.pop("dkim1").mistake == Mistake.PARTIAL
    assert {finding.verdict for finding in findings.values()} == {FOUND}


def test_an_answer_cut_short_is_asked_for_over_tcp(simulator: Simulator) -> None:
    publish(simulator, published())
    publish(simulator, [spf(SPF), *(spf(f"verification-{number}={'x' * 200}") for number in range(20))])
    simulator.call("POST", "/_sim/dns_faults", [{"kind": "truncate"}])
    assert {finding.verdict for finding in check(simulator).values()} == {FOUND}


@pytest.mark.parametrize(
    ("values", "words"),
    [([], "that there is none"), (["v=spf1 mx -all"], "v=spf1 mx -all")],
    ids=["nothing", "another-value"],
)
def test_what_resolvers_still_remember_is_said_with_the_time_it_takes(
    simulator: Simulator, values: list[str], words: str
) -> None:
    publish(simulator, published())
    stale = {"kind": "stale", "name": DOMAIN, "type": "TXT", "values": values, "ttl": 1800}
    simulator.call("POST", "/_sim/dns_faults", [stale])
    findings = check(simulator)
    spf_finding = findings.pop("spf")
    assert (spf_finding.verdict, spf_finding.mistake, spf_finding.ttl_seconds) == (FOUND, Mistake.STALE, 1800)
    assert words in spf_finding.advice
    assert "30 minutes" in spf_finding.advice
    assert {finding.mistake for finding in findings.values()} == {""}


def test_what_the_zone_does_not_have_is_missing_though_resolvers_still_have_it(simulator: Simulator) -> None:
    publish(simulator, published(without=["dkim1"]))
    record = wanted()["dkim1"]
    stale = {"kind": "stale", "name": record.name, "type": "CNAME", "values": [record.value], "ttl": 600}
    simulator.call("POST", "/_sim/dns_faults", [stale])
    assert check(simulator)["dkim1"].verdict is MISSING


def test_two_checks_see_a_change_between_them(simulator: Simulator) -> None:
    """The library that parses SPF keeps answers for half an hour; not here."""
    publish(simulator, published())
    publish(simulator, [spf(f"v=spf1 include:spf.{DOMAIN} ~all"), ("TXT", f"spf.{DOMAIN}", "v=spf1 -all")])
    assert check(simulator)["spf"].mistake == Mistake.SPF_WITHOUT_SES
    publish(simulator, [("TXT", f"spf.{DOMAIN}", SPF)])
    assert check(simulator)["spf"].verdict is FOUND


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_the_order_of_values_and_records_changes_no_verdict(
    simulator: Simulator, data: st.DataObject
) -> None:
    values = ["v=spf1 ip4:192.0.2.1 ~all", "v=spf1 mx -all", "site-verification=1", "v=DMARC1; p=none"]
    keys = [f"{key}.dkim.amazonses.com" for key in (KEYS[1], KEYS[0], "old9999")]
    simulator.reset()
    publish(simulator, published(without=["dmarc"]))
    publish(simulator, [spf(value) for value in data.draw(st.permutations(values))])
    publish(simulator, [("CNAME", cname(key), value) for key, value in zip(KEYS, keys, strict=True)])
    records = data.draw(st.permutations(list(wanted().values())))
    findings = diagnose(DOMAIN, records, Resolver(simulator.dns), within_seconds=2.0)
    said = {finding.record.key: finding for finding in findings}
    usual = {finding.record.key: finding for finding in check(simulator).values()}
    assert said == usual
    assert said[f"TXT {DOMAIN} spf"].better == "v=spf1 ip4:192.0.2.1 mx include:amazonses.com ~all"


@pytest.mark.parametrize(
    ("put", "words"),
    [
        pytest.param([], None, id="free"),
        pytest.param([("MX", f"bounce.{DOMAIN}", f"10 {HOST}")], None, id="ses-already"),
        pytest.param([("TXT", f"bounce.{DOMAIN}", "hello")], None, id="only-a-text"),
        pytest.param([("A", f"*.{DOMAIN}", "192.0.2.1")], None, id="only-a-wildcard"),
        pytest.param(
            [("MX", f"bounce.{DOMAIN}", f"10 mail.{DOMAIN}")], f"MX 10 mail.{DOMAIN}", id="receives-mail"
        ),
        pytest.param([("A", f"bounce.{DOMAIN}", "192.0.2.1")], "A 192.0.2.1", id="is-a-host"),
        pytest.param([("AAAA", f"bounce.{DOMAIN}", "2001:db8::1")], "AAAA 2001:db8::1", id="is-a-newer-host"),
        pytest.param(
            [("CNAME", f"bounce.{DOMAIN}", "t.globex-post.net")], "CNAME to t.globex-post.net", id="alias"
        ),
    ],
)
def test_a_mail_from_name_in_use_is_refused_with_what_uses_it(
    simulator: Simulator, put: Sequence[Put], words: str | None
) -> None:
    publish(simulator, [("A", DOMAIN, "192.0.2.80"), *put])
    why = mail_from_taken(f"bounce.{DOMAIN}", Resolver(simulator.dns))
    assert (why is None) if words is None else (words in str(why))


def test_a_mail_from_name_nobody_can_look_up_is_not_refused(simulator: Simulator) -> None:
    publish(simulator, [("MX", f"bounce.{DOMAIN}", f"10 mail.{DOMAIN}")])
    simulator.call("POST", "/_sim/dns_faults", [{"kind": "servfail"}])
    assert mail_from_taken(f"bounce.{DOMAIN}", Resolver(simulator.dns)) is None
