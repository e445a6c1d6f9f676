"""The zone of a domain that sends through SES, in order or broken, and what the DNS doctor says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from core.dns import DnsRecord, Finding, Mistake, Resolver, Verdict, diagnose
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
    words: str  # separated by commas, all in the sentence; a comma of its own is written \\,
    put: Sequence[Put] = ()
    without: Sequence[str] = ()
    domain: str = DOMAIN
    better: str | None = None

    def assert_named(self, simulator: Simulator) -> None:
        publish(simulator, published(self.domain, self.without))
        publish(simulator, self.put)
        finding = check(simulator, self.domain)[self.record]
        assert (finding.verdict, finding.mistake) == (self.verdict, self.mistake), finding
        for words in self.words.replace("\\,", "\0").split(","):
            assert words.replace("\0", ",") in finding.advice, finding.advice
        assert finding.better == self.better


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
