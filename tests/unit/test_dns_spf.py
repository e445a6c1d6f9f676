"""Reading SPF and DMARC, and merging SPF records: whatever people have published."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.dns import DnsRecord, Verdict, text
from core.dns.answers import Answer
from core.dns.case import Case
from core.dns.look import Look
from core.dns.spf import merged, read

DOMAIN = "acme-mail.io"
RECORDS = (
    DnsRecord("TXT", DOMAIN, "v=spf1 include:amazonses.com ~all", "", False),
    DnsRecord("TXT", f"_dmarc.{DOMAIN}", "v=DMARC1; p=none", "", False),
    DnsRecord("TXT", f"_amazonses.{DOMAIN}", "x=", "", False),
)

mechanisms = st.sampled_from(
    [
        "mx",
        "a",
        "ip4:192.0.2.1",
        "ip6:2001:db8::1",
        "include:mail.globex-post.net",
        "~exists:%{i}.globex-post.net",
    ]
)
ends = st.sampled_from(["-all", "~all", "?all", "+all", "all", ""])
records = st.builds(
    lambda terms, end: " ".join(["v=spf1", *terms, end]).strip(), st.lists(mechanisms, max_size=5), ends
)
pieces = st.one_of(
    st.sampled_from(
        ["v=spf1", "include:", "include:amazonses.com", "all", "-all", "+all", "redirect=a.io", "ip4:"]
    ),
    st.sampled_from(
        ["v=DMARC1;", "p=none;", "p=", "sp=reject", "rua=mailto:", "rua=mailto:a@b.io", "fo=1:0"]
    ),
    st.sampled_from(["aspf=s", "exp=x", "a/33", "a//129", "mx:/", "%{d}", "ra=x", '"', ";", "="]),
    st.text(max_size=6),
)


@pytest.fixture(scope="module")
def nobody() -> Iterator[Look]:
    """A look at DNS in which nobody answers."""
    with Look(DOMAIN, [], fixed=False, seconds=3600.0) as look:
        yield look


@given(st.lists(records, min_size=1, max_size=3))
def test_a_merged_record_names_ses_once_before_its_only_all_and_keeps_the_rest(texts: list[str]) -> None:
    terms = merged(texts).split()
    assert terms[0] == "v=spf1"
    assert terms[-2] == "include:amazonses.com"
    assert terms[-1] in ("-all", "~all", "?all")
    kept = [term for each in texts for term in each.split()[1:] if not term.endswith("all")]
    assert terms[1:-2] == list(dict.fromkeys(kept))


@given(st.lists(records, min_size=1, max_size=3))
def test_merging_what_is_merged_changes_nothing(texts: list[str]) -> None:
    assert merged([merged(texts)]) == merged(texts)


@pytest.mark.parametrize(
    ("texts", "better"),
    [
        (["v=spf1 mx -all"], "v=spf1 mx include:amazonses.com -all"),
        (["v=spf1 mx +all"], "v=spf1 mx include:amazonses.com ~all"),
        (["v=spf1 ?include:AmazonSES.com mx"], "v=spf1 mx include:amazonses.com ~all"),
        (["v=spf1 mx -all include:amazonses.com a"], "v=spf1 mx a include:amazonses.com -all"),
        (["v=spf1 mx redirect=a.example"], "v=spf1 mx include:amazonses.com redirect=a.example"),
        (["v=spf1 mx redirect=a.example -all"], "v=spf1 mx include:amazonses.com -all"),
        (
            ["v=spf1 a -all", "v=spf1 redirect=a.example"],
            "v=spf1 a include:a.example include:amazonses.com -all",
        ),
        (["v=spf1 a -all", "v=spf1 mx ~all"], "v=spf1 a mx include:amazonses.com ~all"),
        (["v=spf1 mx exp=why.example -all"], "v=spf1 mx include:amazonses.com exp=why.example -all"),
    ],
)
def test_records_are_merged(texts: list[str], better: str) -> None:
    assert merged(texts) == better


@settings(max_examples=200, deadline=None)
@given(values=st.lists(st.lists(pieces, max_size=8).map(" ".join), max_size=3))
def test_no_text_breaks_the_doctor_nor_is_found_by_chance(nobody: Look, values: list[str]) -> None:
    case = Case(DOMAIN, RECORDS, nobody)
    for record in RECORDS:
        finding = text.judge(case, record, Answer(values=tuple(sorted(set(values)))))
        assert bool(finding.advice) is (finding.mistake != "")
        if finding.verdict is Verdict.FOUND:
            assert any(value in values for value in finding.found)


@pytest.mark.parametrize("term", ["ip4:192.0.2.1 ", "a+", "all~all ", "%{", '"', "x=" * 5])
def test_a_text_of_any_length_is_read_at_once(nobody: Look, term: str) -> None:
    read("v=spf1 -all", DOMAIN, nobody)  # the library takes its time to be imported
    began = time.monotonic()
    for length in (3_900, 60_000):
        read(("v=spf1 " + term * length)[:length], DOMAIN, nobody)
    assert time.monotonic() - began < 2.0
