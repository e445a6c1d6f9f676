"""The DNS doctor against a real DNS server: zones broken in each way it has a name for, servers that err."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.dns import DnsRecord, Finding, Mistake, Resolver, Verdict, diagnose, mail_from_taken
from tests.simulators import Simulator

DOMAIN = "acme-mail.io"
NEWS = f"news.{DOMAIN}"  # a domain within another's zone
KEYS = ("k1aaaa", "k2bbbb", "k3cccc")
SPF = "v=spf1 include:amazonses.com ~all"
HOST = "feedback-smtp.ap-southeast-1.amazonses.com"
OWNERSHIP = "pmBGN/7MjnfhTKUZ06Enqq1PeGUaOkw8lGhcfwefcHU="
Put = tuple[str, str, str]  # type, name, value

FOUND, MISSING, DIFFERENT, UNKNOWN = Verdict.FOUND, Verdict.MISSING, Verdict.DIFFERENT, Verdict.UNKNOWN


def cname(key: str, domain: str = DOMAIN) -> str:
    return f"{key}._domainkey.{domain}"


def wanted(domain: str = DOMAIN) -> dict[str, DnsRecord]:
    """What SES asks of a domain, by the names that the cases below use."""
    mail_from = f"bounce.{domain}"
    dkim = {
        f"dkim{number}": DnsRecord("CNAME", cname(key, domain), f"{key}.dkim.amazonses.com", "DKIM", True)
        for number, key in enumerate(KEYS, 1)
    }
    rua = f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}"
    return {
        **dkim,
        "ownership": DnsRecord("TXT", f"_amazonses.{domain}", OWNERSHIP, "ownership", False),
        "spf": DnsRecord("TXT", domain, SPF, "SPF", False),
        "dmarc": DnsRecord("TXT", f"_dmarc.{domain}", rua, "DMARC", False),
        "mx": DnsRecord("MX", mail_from, f"10 {HOST}", "MAIL FROM", False),
        "mail_from_spf": DnsRecord("TXT", mail_from, SPF, "MAIL FROM", False),
    }


def publish(simulator: Simulator, puts: Sequence[Put], ttl: int = 60) -> None:
    simulator.put_dns(
        [{"type": kind, "name": name, "value": value, "ttl": ttl} for kind, name, value in puts]
    )


def published(domain: str = DOMAIN, without: Sequence[str] = ()) -> list[Put]:
    records = wanted(domain)
    return [(each.type, each.name, each.value) for name, each in records.items() if name not in without]


def check(simulator: Simulator, domain: str = DOMAIN, within_seconds: float = 2.0) -> dict[str, Finding]:
    records = wanted(domain)
    findings = diagnose(
        domain, list(records.values()), Resolver(simulator.dns), within_seconds=within_seconds
    )
    assert [finding.record for finding in findings] == list(records.values())
    return dict(zip(records, findings, strict=True))


@dataclass(frozen=True)
class Broken:
    """A zone with everything in order but `without` these and with `put`: what `record` must be said of."""

    id: str
    record: str
    verdict: Verdict
    mistake: Mistake
    words: str  # comma-separated, all in the sentence
    put: Sequence[Put] = ()
    without: Sequence[str] = ()
    domain: str = DOMAIN
    better: str | None = None
    faults: Sequence[dict[str, Any]] = field(default_factory=tuple)


def quoted(text: str) -> str:
    """As a zone file has it when the quotation marks are part of the value."""
    return f'"\\"{text}\\""'


def spf(text: str) -> Put:
    return ("TXT", DOMAIN, text)


def includes(count: int) -> list[Put]:
    """spf0 … each naming the next two hosts of a big provider, one look-up each."""
    return [("TXT", f"spf{number}.globex-post.net", "v=spf1 ip4:192.0.2.1 ~all") for number in range(count)]


def naming(count: int) -> str:
    return " ".join(f"include:spf{number}.globex-post.net" for number in range(count))


DKIM = [
    Broken(
        *("nothing-there-yet", "dkim1", MISSING, Mistake.NOTHING_THERE),
        f"Nothing is there yet,{cname(KEYS[0])},{KEYS[0]}.dkim.amazonses.com",
        without=["dkim1", "dkim2", "dkim3"],
    ),
    Broken(
        *("only-some-of-three", "dkim3", MISSING, Mistake.PARTIAL),
        f"2 of the 3,{cname(KEYS[2])}",
        without=["dkim3"],
    ),
    Broken(
        *("zone-doubled-in-the-name", "dkim1", MISSING, Mistake.NAME_DOUBLED),
        f"{cname(KEYS[0])}.{DOMAIN},enter only {KEYS[0]}._domainkey as",
        put=[("CNAME", f"{cname(KEYS[0])}.{DOMAIN}", f"{KEYS[0]}.dkim.amazonses.com")],
        without=["dkim1"],
    ),
    Broken(
        *("subdomain-left-out-of-the-name", "dkim1", MISSING, Mistake.NAME_SHORT),
        f"{cname(KEYS[0])},move it to {cname(KEYS[0], NEWS)},{KEYS[0]}._domainkey.news",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.amazonses.com")],
        without=["dkim1"],
        domain=NEWS,
    ),
    Broken(
        *("zone-appended-to-the-value", "dkim1", DIFFERENT, Mistake.ZONE_APPENDED),
        f"appended {DOMAIN},dot at the end,{KEYS[0]}.dkim.amazonses.com. with the dot",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.amazonses.com.{DOMAIN}")],
    ),
    Broken(
        *("proxied-by-cloudflare", "dkim2", DIFFERENT, Mistake.PROXIED),
        "104.21.5.6,DNS only",
        put=[("A", cname(KEYS[1]), "104.21.5.6")],
        without=["dkim2"],
    ),
    Broken(
        *("proxied-by-cloudflare-over-ipv6", "dkim2", DIFFERENT, Mistake.PROXIED),
        "2606:4700::6815:506,DNS only",
        put=[("AAAA", cname(KEYS[1]), "2606:4700::6815:506")],
        without=["dkim2"],
    ),
    Broken(
        *("address-instead-of-cname", "dkim2", DIFFERENT, Mistake.ADDRESS),
        f"192.0.2.7,CNAME with the value {KEYS[1]}.dkim.amazonses.com",
        put=[("A", cname(KEYS[1]), "192.0.2.7")],
        without=["dkim2"],
    ),
    Broken(
        *("txt-instead-of-cname", "dkim2", DIFFERENT, Mistake.TXT_INSTEAD),
        "A TXT record,remove it,add a CNAME",
        put=[("TXT", cname(KEYS[1]), f"{KEYS[1]}.dkim.amazonses.com")],
        without=["dkim2"],
    ),
    Broken(
        *("tokens-swapped", "dkim1", DIFFERENT, Mistake.TOKENS_SWAPPED),
        f"belongs to {cname(KEYS[1])},change this one to {KEYS[0]}.dkim.amazonses.com",
        put=[
            ("CNAME", cname(KEYS[0]), f"{KEYS[1]}.dkim.amazonses.com"),
            ("CNAME", cname(KEYS[1]), f"{KEYS[0]}.dkim.amazonses.com"),
        ],
    ),
    Broken(
        *("key-of-a-former-identity", "dkim1", DIFFERENT, Mistake.OTHER_IDENTITY),
        "old9999.dkim.amazonses.com,former identity",
        put=[("CNAME", cname(KEYS[0]), "old9999.dkim.amazonses.com")],
    ),
    Broken(
        *("other-signing-zone", "dkim1", DIFFERENT, Mistake.OTHER_ZONE),
        f"{KEYS[0]}.dkim.eu-west-1.amazonses.com,the whole of it",
        put=[("CNAME", cname(KEYS[0]), f"{KEYS[0]}.dkim.eu-west-1.amazonses.com")],
    ),
    Broken(
        *("another-provider", "dkim1", DIFFERENT, Mistake.OTHER_VALUE),
        f"dkim.globex-post.net,change it to {KEYS[0]}.dkim.amazonses.com",
        put=[("CNAME", cname(KEYS[0]), "dkim.globex-post.net")],
    ),
    Broken(
        *("cname-in-a-circle", "dkim1", DIFFERENT, Mistake.CNAME_LOOP),
        f"{cname(KEYS[0])} → round.{DOMAIN} → {cname(KEYS[0])}",
        put=[("CNAME", cname(KEYS[0]), f"round.{DOMAIN}"), ("CNAME", f"round.{DOMAIN}", cname(KEYS[0]))],
    ),
    Broken(
        *("wildcard-cname", "dkim1", MISSING, Mistake.WILDCARD),
        f"wildcard,{cname(KEYS[0])},www.{DOMAIN}",
        put=[("CNAME", f"*.{DOMAIN}", f"www.{DOMAIN}")],
        without=["dkim1", "dkim2", "dkim3"],
    ),
    Broken(
        *("wildcard-address", "dkim1", MISSING, Mistake.WILDCARD),
        "wildcard,192.0.2.9",
        put=[("A", f"*.{DOMAIN}", "192.0.2.9")],
        without=["dkim1", "dkim2", "dkim3"],
    ),
]

TEXT = [
    Broken(
        *("ownership-of-another-account", "ownership", DIFFERENT, Mistake.OTHER_OWNERSHIP),
        f"oldTokenOfAnAccount=,second TXT record,{OWNERSHIP}",
        put=[("TXT", f"_amazonses.{DOMAIN}", "oldTokenOfAnAccount=")],
    ),
    Broken(
        *("ownership-in-quotes", "ownership", DIFFERENT, Mistake.QUOTES),
        f"quotation marks,without any: {OWNERSHIP}",
        put=[("TXT", f"_amazonses.{DOMAIN}", quoted(OWNERSHIP))],
        better=OWNERSHIP,
    ),
    Broken(
        *("ownership-at-a-doubled-name", "ownership", MISSING, Mistake.NAME_DOUBLED),
        "enter only _amazonses as its name",
        put=[("TXT", f"_amazonses.{DOMAIN}.{DOMAIN}", OWNERSHIP)],
        without=["ownership"],
    ),
    Broken(
        *("spf-in-quotes", "spf", DIFFERENT, Mistake.QUOTES),
        f"quotation marks,without any: {SPF}",
        put=[spf(quoted(SPF))],
        better=SPF,
    ),
    Broken(
        *("spf-in-a-word-processors-quotes", "spf", DIFFERENT, Mistake.QUOTES),
        "quotation marks,ip4:192.0.2.1 include:amazonses.com",
        put=[spf("“v=spf1 ip4:192.0.2.1 ~all”")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("spf-split-into-several-records", "spf", DIFFERENT, Mistake.SPLIT),
        "several TXT records,not joined,v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
        put=[spf("v=spf1 ip4:192.0.2.1"), spf("include:amazonses.com ~all"), spf("site-verification=1")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("two-spf-records", "spf", DIFFERENT, Mistake.TWO_SPF),
        "2 SPF records,ignore all of them,v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
        put=[spf("v=spf1 ip4:192.0.2.1 -all"), spf(SPF)],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com ~all",
    ),
    Broken(
        *("spf-without-ses", "spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES,v=spf1 mx ip4:192.0.2.1 include:amazonses.com -all,do not add a second",
        put=[spf("v=spf1 mx ip4:192.0.2.1 -all"), ("MX", DOMAIN, f"10 mail.{DOMAIN}")],
        better="v=spf1 mx ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-that-keeps-ses-out", "spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES",
        put=[spf("v=spf1 -include:amazonses.com ~all")],
        better=SPF,
    ),
    Broken(
        *("spf-with-ten-look-ups-already", "spf", DIFFERENT, Mistake.SPF_FULL),
        "does not name SES,none of the 10 DNS look-ups,take out",
        put=[spf(f"v=spf1 {naming(10)} ~all"), *includes(10)],
    ),
    Broken(
        *("spf-with-too-many-look-ups", "spf", DIFFERENT, Mistake.SPF_LOOKUPS),
        "more than the 10 DNS look-ups,include:all.globex-post.net takes 10",
        put=[
            spf("v=spf1 include:amazonses.com include:all.globex-post.net ~all"),
            ("TXT", "all.globex-post.net", f"v=spf1 {naming(9)} ~all"),
            *includes(9),
        ],
    ),
    Broken(
        *("spf-with-void-look-ups", "spf", DIFFERENT, Mistake.SPF_VOID_LOOKUPS),
        "do not exist,gone1.acme-mail.io",
        put=[spf(f"v=spf1 a:gone1.{DOMAIN} a:gone2.{DOMAIN} a:gone3.{DOMAIN} include:amazonses.com ~all")],
        better=SPF,
    ),
    Broken(
        *("spf-that-includes-itself", "spf", DIFFERENT, Mistake.SPF_LOOP),
        f"includes itself,spf.{DOMAIN}",
        put=[
            spf(f"v=spf1 include:spf.{DOMAIN} include:amazonses.com ~all"),
            ("TXT", f"spf.{DOMAIN}", f"v=spf1 include:{DOMAIN} ~all"),
        ],
        better=SPF,
    ),
    Broken(
        *("spf-that-redirects-to-itself", "spf", DIFFERENT, Mistake.SPF_LOOP),
        f"includes itself,{DOMAIN}",
        put=[spf(f"v=spf1 include:amazonses.com redirect={DOMAIN}")],
        better=SPF,
    ),
    Broken(
        *("spf-that-includes-nothing", "spf", DIFFERENT, Mistake.SPF_INCLUDE),
        "nobody.globex-post.net,no usable SPF record",
        put=[
            spf("v=spf1 include:amazonses.com include:nobody.globex-post.net ~all"),
            ("TXT", "globex-post.net", "hello"),
        ],
        better=SPF,
    ),
    Broken(
        *("spf-with-an-unknown-mechanism", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "cannot be read,inclde,as a model",
        put=[spf("v=spf1 inclde:amazonses.com ~all")],
    ),
    Broken(
        *("spf-without-a-space", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "cannot be read,whitespace before 'all'",
        put=[spf("v=spf1 include:amazonses.com~all")],
    ),
    Broken(
        *("spf-that-begins-wrongly", "spf", DIFFERENT, Mistake.SPF_SYNTAX),
        "must begin with v=spf1",
        put=[spf("spf1 include:amazonses.com ~all")],
    ),
    Broken(
        *("ses-after-all", "spf", DIFFERENT, Mistake.SPF_AFTER_ALL),
        "never read,v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
        put=[spf("v=spf1 ip4:192.0.2.1 -all include:amazonses.com")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("others-after-all", "spf", FOUND, Mistake.SPF_AFTER_ALL),
        "never read,ip4:192.0.2.1",
        put=[spf("v=spf1 include:amazonses.com -all ip4:192.0.2.1")],
        better="v=spf1 ip4:192.0.2.1 include:amazonses.com -all",
    ),
    Broken(
        *("spf-open-to-everybody", "spf", DIFFERENT, Mistake.SPF_OPEN),
        "+all,everybody",
        put=[spf("v=spf1 include:amazonses.com +all")],
        better=SPF,
    ),
    Broken(
        *("spf-handed-over", "spf", DIFFERENT, Mistake.SPF_REDIRECT),
        "hands over to spf.globex-post.net,v=spf1 include:amazonses.com redirect=spf.globex-post.net",
        put=[
            spf("v=spf1 redirect=spf.globex-post.net"),
            ("TXT", "spf.globex-post.net", "v=spf1 ip4:192.0.2.1 -all"),
        ],
        better="v=spf1 include:amazonses.com redirect=spf.globex-post.net",
    ),
    Broken(
        *("cname-at-the-domain-itself", "spf", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"{NEWS} is a CNAME to shop.globex-post.net,remove it",
        put=[("CNAME", NEWS, "shop.globex-post.net"), ("A", "shop.globex-post.net", "192.0.2.1")],
        without=["spf"],
        domain=NEWS,
    ),
]

DMARC = [
    Broken(
        *("dmarc-of-the-parent", "dmarc", FOUND, Mistake.DMARC_INHERITED),
        f"Nothing to do,{DOMAIN},policy for them: quarantine",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; sp=quarantine")],
        without=["dmarc"],
        domain=NEWS,
    ),
    Broken(
        *("strict-dmarc-of-the-parent-before-dkim", "dmarc", FOUND, Mistake.DMARC_BEFORE_DKIM),
        "policy is reject,DKIM records first",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject")],
        without=["dmarc", "dkim1", "dkim2", "dkim3"],
        domain=NEWS,
    ),
    Broken(
        *("two-dmarc-records", "dmarc", DIFFERENT, Mistake.TWO_DMARC),
        "2 DMARC records,keep one",
        put=[
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none"),
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject"),
        ],
    ),
    Broken(
        *("dmarc-without-policy", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "no policy,as a model",
        put=[("TXT", f"_dmarc.{DOMAIN}", f"v=DMARC1; rua=mailto:postmaster@{DOMAIN}")],
    ),
    Broken(
        *("dmarc-policy-mistyped", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "must have one of the following values,rejct",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=rejct")],
    ),
    Broken(
        *("dmarc-without-semicolon", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "separator may be missing,v=DMARC1 ➞p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1 p=none")],
    ),
    Broken(
        *("dmarc-that-begins-wrongly", "dmarc", DIFFERENT, Mistake.DMARC_SYNTAX),
        "must begin with v=DMARC1",
        put=[("TXT", f"_dmarc.{DOMAIN}", "DMARC1; p=none")],
    ),
    Broken(
        *("dmarc-in-quotes", "dmarc", DIFFERENT, Mistake.QUOTES),
        "without any: v=DMARC1; p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", quoted("v=DMARC1; p=none"))],
        better="v=DMARC1; p=none",
    ),
    Broken(
        *("dmarc-at-the-domain", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at {DOMAIN},move it to _dmarc.{DOMAIN}",
        put=[spf("v=DMARC1; p=none"), spf(SPF)],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-without-underscore", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at dmarc.{DOMAIN},move it to _dmarc.{DOMAIN}",
        put=[("TXT", f"dmarc.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-underscore-doubled", "dmarc", MISSING, Mistake.DMARC_PLACE),
        f"is at _dmarc._dmarc.{DOMAIN}",
        put=[("TXT", f"_dmarc._dmarc.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-at-a-doubled-name", "dmarc", MISSING, Mistake.NAME_DOUBLED),
        "enter only _dmarc as its name",
        put=[("TXT", f"_dmarc.{DOMAIN}.{DOMAIN}", "v=DMARC1; p=none")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-cname-in-the-way", "dmarc", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"_dmarc.{DOMAIN} is a CNAME to empty.globex-post.net,remove it",
        put=[
            ("CNAME", f"_dmarc.{DOMAIN}", "empty.globex-post.net"),
            ("TXT", "empty.globex-post.net", "no policy here"),
        ],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-cname-in-a-circle", "dmarc", UNKNOWN, Mistake.CNAME_LOOP),
        f"circle,_dmarc.{DOMAIN} → round.{DOMAIN} → _dmarc.{DOMAIN}",
        put=[
            ("CNAME", f"_dmarc.{DOMAIN}", f"round.{DOMAIN}"),
            ("CNAME", f"round.{DOMAIN}", f"_dmarc.{DOMAIN}"),
        ],
        without=["dmarc"],
    ),
    Broken(
        *("wildcard-txt", "dmarc", MISSING, Mistake.WILDCARD),
        f"wildcard,_dmarc.{DOMAIN},site-verification=1",
        put=[("TXT", f"*.{DOMAIN}", "site-verification=1")],
        without=["dmarc"],
    ),
    Broken(
        *("dmarc-strict-about-spf", "dmarc", FOUND, Mistake.DMARC_STRICT_SPF),
        f"DKIM alone,aspf=s,bounce.{DOMAIN}",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; aspf=s; adkim=s")],
    ),
    Broken(
        *("dmarc-reports-nobody-agreed-to", "dmarc", FOUND, Mistake.DMARC_REPORTS),
        f"reports to d@globex-post.net,{DOMAIN}._report._dmarc.globex-post.net",
        put=[
            ("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none; rua=mailto:d@globex-post.net"),
            ("MX", "globex-post.net", "10 mail.globex-post.net"),
        ],
    ),
    Broken(
        *("dmarc-strict-before-dkim", "dmarc", FOUND, Mistake.DMARC_BEFORE_DKIM),
        "policy is quarantine,DKIM records first,p=none",
        put=[("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=quarantine")],
        without=["dkim2"],
    ),
]

MAIL_FROM = [
    Broken(
        *("two-mx-records", "mx", DIFFERENT, Mistake.TWO_MX),
        f"2 MX records,exactly one,remove 20 mail.{DOMAIN}",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}"), ("MX", f"bounce.{DOMAIN}", f"20 mail.{DOMAIN}")],
    ),
    Broken(
        *("mx-of-another-region", "mx", DIFFERENT, Mistake.MX_OTHER_REGION),
        f"eu-west-1,change,10 {HOST}",
        put=[("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.eu-west-1.amazonses.com")],
    ),
    Broken(
        *("mx-to-another-host", "mx", DIFFERENT, Mistake.MX_OTHER_HOST),
        f"mail.{DOMAIN},another MAIL FROM domain",
        put=[("MX", f"bounce.{DOMAIN}", f"10 mail.{DOMAIN}")],
    ),
    Broken(
        *("mx-with-the-zone-appended", "mx", DIFFERENT, Mistake.ZONE_APPENDED),
        f"appended {DOMAIN},{HOST}. with the dot",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}.{DOMAIN}")],
    ),
    Broken(
        *("mx-with-the-priority-in-the-host", "mx", DIFFERENT, Mistake.MX_PRIORITY),
        "priority was typed into the host",
        put=[("MX", f"bounce.{DOMAIN}", f"10 10\\032{HOST}")],
    ),
    Broken(
        *("mx-at-a-doubled-name", "mx", MISSING, Mistake.NAME_DOUBLED),
        "enter only bounce as its name",
        put=[("MX", f"bounce.{DOMAIN}.{DOMAIN}", f"10 {HOST}")],
        without=["mx"],
    ),
    Broken(
        *("mx-only-of-the-parent", "mx", MISSING, Mistake.NOTHING_THERE),
        f"Nothing is there yet,bounce.{NEWS}",
        put=[("MX", f"bounce.{DOMAIN}", f"10 {HOST}")],
        without=["mx"],
        domain=NEWS,
    ),
    Broken(
        *("mail-from-cname-in-the-way", "mx", DIFFERENT, Mistake.CNAME_IN_THE_WAY),
        f"bounce.{DOMAIN} is a CNAME to shop.globex-post.net",
        put=[
            ("CNAME", f"bounce.{DOMAIN}", "shop.globex-post.net"),
            ("A", "shop.globex-post.net", "192.0.2.1"),
        ],
        without=["mx", "mail_from_spf"],
    ),
    Broken(
        *("mail-from-under-a-wildcard-cname", "mx", MISSING, Mistake.WILDCARD),
        "wildcard,shop.globex-post.net",
        put=[("CNAME", f"*.{DOMAIN}", "shop.globex-post.net"), ("A", "shop.globex-post.net", "192.0.2.1")],
        without=["mx", "mail_from_spf"],
    ),
    Broken(
        *("mail-from-txt-without-ses", "mail_from_spf", DIFFERENT, Mistake.SPF_WITHOUT_SES),
        "does not name SES,v=spf1 include:amazonses.com -all",
        put=[("TXT", f"bounce.{DOMAIN}", "v=spf1 -all")],
        better="v=spf1 include:amazonses.com -all",
    ),
]

BROKEN = [*DKIM, *TEXT, *DMARC, *MAIL_FROM]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.id)
def test_a_broken_zone_is_named_with_what_fixes_it(simulator: Simulator, case: Broken) -> None:
    publish(simulator, published(case.domain, case.without))
    publish(simulator, case.put)
    finding = check(simulator, case.domain)[case.record]
    assert (finding.verdict, finding.mistake) == (case.verdict, case.mistake), finding
    for words in case.words.split(","):
        assert words in finding.advice
    assert finding.better == case.better


def test_there_are_more_than_25_broken_zones_and_every_mistake_has_one() -> None:
    elsewhere = {
        *(Mistake.NOT_CHECKED, Mistake.NO_ANSWER, Mistake.NO_ZONE, Mistake.STALE),  # below
        *(Mistake.SERVERS_DISAGREE, Mistake.RESOLVERS_FAIL),  # tests/unit/test_dns.py
    }
    assert len(BROKEN) > 25
    assert {case.mistake for case in BROKEN} | elsewhere == set(Mistake)


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
    assert all(words in finding.advice and simulator.dns in finding.advice for finding in findings)


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
