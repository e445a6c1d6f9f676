"""Domains whose owners mean harm: their servers send too much, too slowly, or what nobody can store."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import dns.message
import pytest

from core.dns import DnsRecord, Finding, Mistake, Resolver, Verdict, diagnose
from core.dns.parsing import library
from tests.dns_servers import Reply, holding, server, tcp_server, txt_rows
from tests.dns_zones import DOMAIN, wanted

RECORDS = list(wanted().values())
SPF = wanted()["spf"]


def stored(findings: list[Finding]) -> int:
    return len(json.dumps([finding.as_json() for finding in findings]))


def said_by(reply: Reply, record: DnsRecord = SPF) -> Finding:
    with server(reply) as address:
        [finding] = diagnose(DOMAIN, [record], Resolver(address), within_seconds=2.0)
    return finding


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """The library takes a third of a second to be imported, once in the life of a process."""
    library()


@pytest.mark.parametrize(("count", "length"), [(3800, 4), (201, 4), (90, 200)])
def test_an_answer_that_is_too_large_is_not_read(count: int, length: int) -> None:
    with tcp_server(numbered(count, length)) as address:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(address), within_seconds=2.0)
    assert (finding.verdict, finding.mistake) == (Verdict.UNKNOWN, Mistake.NO_ANSWER)
    assert "too large" in finding.advice


def numbered(count: int, length: int) -> bytes:
    return txt_rows(*(f"{number:04d}".ljust(length, "x") for number in range(count)))


NASTY = {
    "3800-records": numbered(3800, 4),
    "as-many-as-are-read": numbered(200, 60),
    "spf-records": txt_rows(*(f"v=spf1 {f'a:x{number}.io ' * 20}-all" for number in range(60))),
    "includes": txt_rows(f"v=spf1 {' '.join(f'include:i{n}.{DOMAIN}' for n in range(150))} ~all"),
    "reports": txt_rows(f"v=DMARC1; p=none; rua={','.join(f'mailto:d@r{n}.io' for n in range(200))}"),
    "signs-stored-as-six": txt_rows(*("v=spf1 " + "\u00e4" * length for length in range(1500, 1505))),
    "signs-made-visible": txt_rows(*("v=spf1 " + "\u202e\1" * length for length in range(700, 703))),
}


@pytest.mark.parametrize("rows", NASTY.values(), ids=NASTY)
def test_a_check_ends_in_time_and_is_small_whatever_is_answered(rows: bytes) -> None:
    with tcp_server(rows) as address:
        began = time.monotonic()
        findings = diagnose(DOMAIN, RECORDS, Resolver(address), within_seconds=2.0)
        took = time.monotonic() - began
    assert took < 2.0
    assert stored(findings) < 30_000


@pytest.mark.slow
def test_ten_checks_at_once_end_in_time() -> None:
    with tcp_server(numbered(200, 60)) as address, ThreadPoolExecutor(10) as pool:
        began = time.monotonic()
        checks = [
            pool.submit(diagnose, DOMAIN, RECORDS, Resolver(address), within_seconds=2.0) for _ in range(10)
        ]
        assert max(stored(check.result()) for check in checks) < 30_000
        assert time.monotonic() - began < 2.5


def test_includes_without_end_are_too_many_look_ups() -> None:
    """Each name includes another: of a record that counts, ten are asked for."""
    asked: list[str] = []

    def reply(query: dns.message.Message) -> dns.message.Message:
        name = query.question[0].name.to_text(omit_final_dot=True)
        asked.append(name)
        return holding({(name.lower(), "TXT"): [f'"v=spf1 include:i{len(asked)}.acme-mail.io ~all"']})(query)

    finding = said_by(reply)
    assert finding.mistake == Mistake.SPF_LOOKUPS
    assert len(asked) < 60


def test_of_the_addresses_for_reports_a_few_are_looked_up() -> None:
    asked: list[str] = []
    addresses = ",".join(f"mailto:d@r{number}.globex-post.net" for number in range(15))
    parts = [addresses[at : at + 250] for at in range(0, len(addresses), 250)]
    record = " ".join(f'"{part}"' for part in ["v=DMARC1; p=none; rua=", *parts])
    zone = holding({(DOMAIN, "TXT"): ['"x"'], (f"_dmarc.{DOMAIN}", "TXT"): [record]})

    def reply(query: dns.message.Message) -> dns.message.Message | None:
        asked.append(query.question[0].name.to_text())
        return zone(query)

    assert said_by(reply, wanted()["dmarc"]).mistake == Mistake.DMARC_REPORTS
    assert len({name for name in asked if "globex-post" in name}) <= 10


def test_values_that_are_no_text_are_made_visible() -> None:
    """PostgreSQL takes no NUL in a text, and a page shows no other."""
    finding = said_by(
        holding({(DOMAIN, "TXT"): ['"v=spf1 mx\\000 -all"', '"other\\000\\001\\194\\160\\226\\128\\174"']})
    )
    assert finding.found == ("v=spf1 mx\\000 -all",)
    assert finding.others == ("other\\000\\001\\194\\160\\226\\128\\174",)
    assert "v=spf1 mx\\000 -all" in finding.advice
    assert finding.better is None
    assert not finding.whole
    assert "\\u0000" not in json.dumps(finding.as_json())


def test_values_that_are_cut_are_not_taken_for_the_whole() -> None:
    with tcp_server(txt_rows("v=spf1 -all", *(f"{n}{'x' * 150}" for n in range(80)))) as address:
        findings = diagnose(DOMAIN, RECORDS, Resolver(address), within_seconds=2.0)
    spf = next(finding for finding in findings if finding.record == SPF)
    assert spf.found == ("v=spf1 -all",)
    assert not spf.whole
    assert 0 < len(spf.others) < 80


def test_many_other_values_are_kept_where_there_is_room() -> None:
    others = tuple(sorted(f"verification-{n}={'x' * 60}" for n in range(60)))
    with tcp_server(txt_rows("v=spf1 -all", *others)) as address:
        [finding] = diagnose(DOMAIN, [SPF], Resolver(address), within_seconds=2.0)
    assert (finding.others, finding.whole) == (others, True)
