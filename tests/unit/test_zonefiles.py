"""Exports of what is still to be published, read back as their readers do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import dns.rdatatype
import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.dns import DnsRecord, Finding, Mistake, Verdict, not_checked
from core.zonefiles import bind, cloudflare, route53

DOMAIN = "acme-mail.io"
SPF = DnsRecord("TXT", DOMAIN, "v=spf1 include:amazonses.com ~all", "SPF", False)
DMARC = DnsRecord(
    "TXT", f"_dmarc.{DOMAIN}", f"v=DMARC1; p=none; rua=mailto:postmaster@{DOMAIN}", "DMARC", False
)
DKIM = DnsRecord("CNAME", f"k1._domainkey.{DOMAIN}", "k1.dkim.amazonses.com", "DKIM", True)
OWNERSHIP = DnsRecord("TXT", f"_amazonses.{DOMAIN}", "x+y/z=", "ownership", False)
MX = DnsRecord("MX", f"bounce.{DOMAIN}", "10 feedback-smtp.ap-southeast-1.amazonses.com", "MAIL FROM", False)
ALL = [DKIM, OWNERSHIP, SPF, DMARC, MX]


def missing(record: DnsRecord, *others: str) -> Finding:
    return Finding(record, (), Verdict.MISSING, Mistake.NOTHING_THERE, "Add it.", others=others)


def different(record: DnsRecord, *found: str, mistake: Mistake = Mistake.OTHER_VALUE, **more: Any) -> Finding:
    return Finding(record, found, Verdict.DIFFERENT, mistake, "Change it.", **more)


def in_zone(text: str) -> dict[tuple[str, str], list[str]]:
    """As a name server loads it: values by name and type."""
    zone = dns.zone.from_text(text, origin=f"{DOMAIN}.", relativize=False, check_origin=False)
    held: dict[tuple[str, str], list[str]] = {}
    for name, _ttl, rdata in zone.iterate_rdatas():
        value = b"".join(rdata.strings).decode() if rdata.rdtype == dns.rdatatype.TXT else rdata.to_text()
        held.setdefault((name.to_text(), dns.rdatatype.to_text(rdata.rdtype)), []).append(value)
    return held


def changes(text: str) -> dict[tuple[str, str], tuple[str, list[str]]]:
    """Action and values by name and type."""
    batch = json.loads(text)
    assert set(batch) == {"Comment", "Changes"}
    made = {}
    for change in batch["Changes"]:
        rrset = change["ResourceRecordSet"]
        assert set(rrset) == {"Name", "Type", "TTL", "ResourceRecords"}
        values = [each["Value"] for each in rrset["ResourceRecords"]]
        made[rrset["Name"], rrset["Type"]] = (change["Action"], values)
    assert len(made) == len(batch["Changes"])
    return made


def remarks(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith(";"))


@pytest.mark.parametrize("export", [bind, cloudflare])
def test_a_zone_file_holds_what_is_missing(export: Any) -> None:
    assert in_zone(export(DOMAIN, [missing(record) for record in ALL])) == {
        (f"k1._domainkey.{DOMAIN}.", "CNAME"): ["k1.dkim.amazonses.com."],
        (f"_amazonses.{DOMAIN}.", "TXT"): [OWNERSHIP.value],
        (f"{DOMAIN}.", "TXT"): [SPF.value],
        (f"_dmarc.{DOMAIN}.", "TXT"): [DMARC.value],
        (f"bounce.{DOMAIN}.", "MX"): ["10 feedback-smtp.ap-southeast-1.amazonses.com."],
    }


def test_cloudflares_file_keeps_the_proxy_off() -> None:
    lines = cloudflare(DOMAIN, [missing(DKIM), missing(SPF)]).splitlines()
    assert f"k1._domainkey.{DOMAIN}. 300 IN CNAME k1.dkim.amazonses.com. ; cf_tags=cf-proxied:false" in lines
    assert not any("cf_tags" in line for line in lines if " TXT " in line)


def test_a_change_batch_creates_what_is_missing() -> None:
    assert changes(route53(DOMAIN, [missing(record) for record in ALL])) == {
        (f"k1._domainkey.{DOMAIN}.", "CNAME"): ("CREATE", ["k1.dkim.amazonses.com."]),
        (f"_amazonses.{DOMAIN}.", "TXT"): ("CREATE", ['"x+y/z="']),
        (f"{DOMAIN}.", "TXT"): ("CREATE", [f'"{SPF.value}"']),
        (f"_dmarc.{DOMAIN}.", "TXT"): ("CREATE", [f'"{DMARC.value}"']),
        (f"bounce.{DOMAIN}.", "MX"): ("CREATE", ["10 feedback-smtp.ap-southeast-1.amazonses.com."]),
    }


@pytest.mark.parametrize("mistake", ["", Mistake.STALE, Mistake.DMARC_INHERITED])
def test_what_is_found_is_left_out(mistake: str) -> None:
    findings = [Finding(record, (record.value,), Verdict.FOUND, mistake) for record in ALL]
    assert in_zone(bind(DOMAIN, findings)) == in_zone(cloudflare(DOMAIN, findings)) == {}
    assert changes(route53(DOMAIN, findings)) == {}


def test_what_some_servers_lack_is_published_already() -> None:
    findings = [Finding(DKIM, (), Verdict.MISSING, Mistake.SERVERS_DISAGREE, "Wait.")]
    assert changes(route53(DOMAIN, findings)) == in_zone(bind(DOMAIN, findings)) == {}


@pytest.mark.parametrize("export", [bind, cloudflare])
def test_an_spf_record_that_is_there_is_changed_by_hand_and_never_joined_by_a_second(export: Any) -> None:
    text = export(DOMAIN, [different(SPF, "v=spf1 mx -all", better="v=spf1 mx include:amazonses.com -all")])
    assert in_zone(text) == {}
    assert f'; Change: {DOMAIN}. 300 IN TXT "v=spf1 mx -all"' in remarks(text)
    assert f'; into: {DOMAIN}. 300 IN TXT "v=spf1 mx include:amazonses.com -all"' in remarks(text)


@pytest.mark.parametrize("export", [bind, cloudflare])
def test_an_spf_record_that_may_be_there_is_only_remarked(export: Any) -> None:
    text = export(DOMAIN, [not_checked(record) for record in ALL])
    assert not [key for key in in_zone(text) if key in ((f"{DOMAIN}.", "TXT"), (f"_dmarc.{DOMAIN}.", "TXT"))]
    assert f'; Only if there is no such record yet: {DOMAIN}. 300 IN TXT "{SPF.value}"' in remarks(text)
    assert len(in_zone(text)) == 3


def test_a_change_batch_replaces_spf_and_keeps_the_other_texts_of_the_name() -> None:
    better = "v=spf1 mx include:amazonses.com -all"
    two = different(
        *(SPF, "v=spf1 mx -all", "v=spf1 a -all"),
        mistake=Mistake.TWO_SPF,
        better=better,
        others=("MS=1", 'a "b" \\c'),
    )
    assert changes(route53(DOMAIN, [two])) == {
        (f"{DOMAIN}.", "TXT"): ("UPSERT", [f'"{better}"', '"MS=1"', '"a \\"b\\" \\134c"'])
    }


def test_a_change_batch_adds_spf_beside_the_other_texts_of_the_name() -> None:
    made = changes(route53(DOMAIN, [missing(SPF, "MS=1")]))
    assert made == {(f"{DOMAIN}.", "TXT"): ("UPSERT", [f'"{SPF.value}"', '"MS=1"'])}


@pytest.mark.parametrize("finding", [not_checked(SPF), missing(SPF, "broken \ufffd bytes")])
def test_where_the_other_texts_are_not_known_a_change_batch_rather_fails_than_wipes(finding: Finding) -> None:
    assert changes(route53(DOMAIN, [finding]))[f"{DOMAIN}.", "TXT"] == ("CREATE", [f'"{SPF.value}"'])


def test_what_only_its_owner_can_correct_is_left_to_them_with_the_sentence() -> None:
    broken = different(SPF, "v=spf1 inclde:x -all", mistake=Mistake.SPF_SYNTAX)
    assert changes(route53(DOMAIN, [broken])) == in_zone(bind(DOMAIN, [broken])) == {}
    assert f"; By hand, TXT {DOMAIN}: Change it." in remarks(bind(DOMAIN, [broken]))


def test_a_wrong_cname_is_replaced_and_a_mail_server_of_somebodys_is_not() -> None:
    wrong = different(DKIM, "old.dkim.amazonses.com")
    theirs = different(MX, f"10 mail.{DOMAIN}", mistake=Mistake.MX_OTHER_HOST)
    ours = different(MX, "10 feedback-smtp.eu-west-1.amazonses.com", mistake=Mistake.MX_OTHER_REGION)
    assert changes(route53(DOMAIN, [wrong]))[f"{DKIM.name}.", "CNAME"][0] == "UPSERT"
    assert changes(route53(DOMAIN, [theirs])) == {}
    assert f"; By hand, MX {MX.name}: Change it." in remarks(bind(DOMAIN, [theirs]))
    assert changes(route53(DOMAIN, [ours]))[f"{MX.name}.", "MX"][0] == "UPSERT"
    assert in_zone(bind(DOMAIN, [wrong, theirs, ours])) == {}


@pytest.mark.parametrize("mistake", [Mistake.TWO_MX, Mistake.MX_SHARED, Mistake.MX_OTHER_HOST])
def test_a_mail_server_of_somebodys_beside_ses_is_never_taken_out(mistake: Mistake) -> None:
    finding = different(MX, MX.value, f"20 mail.{DOMAIN}", mistake=mistake)
    assert finding.to_publish is None
    assert changes(route53(DOMAIN, [finding])) == {}
    assert "into:" not in bind(DOMAIN, [finding])


def test_what_stands_in_a_cnames_place_is_named_by_its_own_type() -> None:
    proxied = different(DKIM, "104.21.5.6", mistake=Mistake.PROXIED)
    assert f"; Change: {DKIM.name}. 300 IN A 104.21.5.6" in remarks(bind(DOMAIN, [proxied]))


def test_the_token_of_another_account_stays_beside_ours() -> None:
    made = changes(route53(DOMAIN, [different(OWNERSHIP, "their=", mistake=Mistake.OTHER_OWNERSHIP)]))
    assert made == {(f"{OWNERSHIP.name}.", "TXT"): ("UPSERT", ['"x+y/z="', '"their="'])}


@pytest.mark.parametrize("their", ["their\ufffd=", "their="])
def test_a_token_that_is_not_known_wholly_is_not_replaced(their: str) -> None:
    finding = different(OWNERSHIP, their, mistake=Mistake.OTHER_OWNERSHIP, whole="\ufffd" in their)
    made = changes(route53(DOMAIN, [finding]))
    assert made == {(f"{OWNERSHIP.name}.", "TXT"): ("CREATE", ['"x+y/z="'])}


def test_where_the_other_texts_were_cut_a_change_batch_rather_fails_than_wipes() -> None:
    better = "v=spf1 mx include:amazonses.com -all"
    cut = different(SPF, "v=spf1 mx -all", better=better, others=("MS=1",), whole=False)
    assert changes(route53(DOMAIN, [cut]))[f"{DOMAIN}.", "TXT"] == ("CREATE", [f'"{better}"'])


def test_spf_that_is_there_but_could_not_be_read_wholly_is_left_to_its_owner() -> None:
    unread = Finding(SPF, ("v=spf1 include:slow.example ~all",), Verdict.UNKNOWN, Mistake.NO_ANSWER, "Wait.")
    assert changes(route53(DOMAIN, [unread])) == {}
    assert SPF.value not in bind(DOMAIN, [unread])


@pytest.mark.parametrize(("known", "kept"), [(3600, 3600), (None, 300), (5, 60), (2**31, 86400)])
def test_a_change_keeps_the_time_that_the_values_there_have(known: int | None, kept: int) -> None:
    finding = different(SPF, "v=spf1 -all", better=SPF.value, ttl_seconds=known)
    [change] = json.loads(route53(DOMAIN, [finding]))["Changes"]
    assert change["ResourceRecordSet"]["TTL"] == kept


@pytest.mark.parametrize("export", [bind, cloudflare, route53])
def test_an_export_says_when_dns_was_asked(export: Any) -> None:
    at = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
    assert "4 May 2026, 12:30 UTC" in export(DOMAIN, [missing(SPF)], checked_at=at)
    batch = json.loads(route53("x" * 63 + ".io", [missing(SPF)], checked_at=at))
    assert len(batch["Comment"]) <= 256


@pytest.mark.parametrize("value", ["ü" * 80, "\u202e.ä b", "a\0.é", "é" * 300])
def test_a_cname_of_any_letters_breaks_no_export(value: str) -> None:
    wrong = different(DKIM, value, better=f"{value}.io")
    for export in (bind, cloudflare, route53):
        assert export(DOMAIN, [wrong]).isascii()


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=700))
def test_any_text_is_the_same_when_read_back(value: str) -> None:
    record = DnsRecord("TXT", f"_amazonses.{DOMAIN}", value, "", False)
    assert in_zone(bind(DOMAIN, [missing(record)])) == {(f"{record.name}.", "TXT"): [value]}
    [written] = changes(route53(DOMAIN, [missing(record)]))[f"{record.name}.", "TXT"][1]
    assert _read_octal(written) == value


def _read_octal(written: str) -> str:
    """As Route 53 reads strings in quotation marks, with bytes in octal."""
    octets, at = bytearray(), 0
    inside = False
    while at < len(written):
        if written[at] == '"':
            inside, at = not inside, at + 1
        elif written[at] == "\\" and written[at + 1] == '"':
            octets, at = octets + b'"', at + 2
        elif written[at] == "\\":
            octets, at = octets + bytes([int(written[at + 1 : at + 4], 8)]), at + 4
        else:
            assert inside or written[at] == " "
            octets, at = octets + (written[at].encode() if inside else b""), at + 1
    return octets.decode()


def test_a_long_text_is_split_into_strings_of_255_bytes() -> None:
    record = DnsRecord("TXT", DOMAIN, "v=spf1 " + "ip4:192.0.2.1 " * 40 + "~all", "", False)
    [value] = changes(route53(DOMAIN, [missing(record)]))[f"{DOMAIN}.", "TXT"][1]
    assert [len(part) for part in value.strip('"').split('" "')] == [255, 255, len(record.value) - 510]
    assert in_zone(bind(DOMAIN, [missing(record)])) == {(f"{DOMAIN}.", "TXT"): [record.value]}


def test_names_with_other_letters_are_written_in_ascii() -> None:
    record = DnsRecord("CNAME", "k1._domainkey.bücher.io", "k1.dkim.amazonses.com", "", True)
    line = "k1._domainkey.xn--bcher-kva.io. 300 IN CNAME k1.dkim.amazonses.com."
    assert line in bind("bücher.io", [missing(record)]).splitlines()


def test_a_value_from_dns_cannot_become_a_line_of_its_own() -> None:
    evil = different(SPF, f"v=spf1 -all\nwww.{DOMAIN}. 300 IN A 192.0.2.66", better="v=spf1 -all")
    syntax = Finding(
        SPF, ("x",), Verdict.DIFFERENT, Mistake.SPF_SYNTAX, f"No.\nwww.{DOMAIN}. 300 IN A 192.0.2.66"
    )
    for export in (bind, cloudflare):
        assert in_zone(export(DOMAIN, [evil, syntax])) == {}
