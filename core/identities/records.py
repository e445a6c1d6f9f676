"""Records: what the DNS of an identity should hold, and what was found of it."""

from __future__ import annotations

from dataclasses import replace

from core.db.models import Identity
from core.dns import DnsRecord, Finding, Kind, Verdict, not_checked

DOMAIN = "DOMAIN"
SHARED_SPF = "Where other services send for the domain, take only include:amazonses.com out."


def records(identity: Identity, region: str) -> list[DnsRecord]:
    """In the order people should publish them; an e-mail address identity needs none."""
    if identity.type != DOMAIN:
        return []
    return [*_dkim(identity), *_ownership(identity), *_policies(identity.name), *_mail_from(identity, region)]


def findings(identity: Identity, region: str) -> list[Finding]:
    """One per record: what the last check found. A record that was not wanted then is not checked yet."""
    stored = {finding.get("key"): finding for finding in identity.dns_findings}
    return [_finding(record, stored.get(record.key)) for record in records(identity, region)]


def left_behind(identity: Identity, region: str) -> list[DnsRecord]:
    """What may be taken out of DNS once nothing is sent any more; DMARC protects the domain from others, too,
    and stays."""
    return [
        replace(record, optional_note=SHARED_SPF) if _is_own_spf(record, identity) else record
        for record in records(identity, region)
        if record.kind is not Kind.DMARC
    ]


def all_found(found: list[Finding], *, required: bool) -> bool:
    """Whether those that are required (or else: those that are asked for) are all there."""
    chosen = [finding.verdict for finding in found if finding.record.required or not required]
    return bool(chosen) and all(verdict is Verdict.FOUND for verdict in chosen)


def _finding(record: DnsRecord, stored: dict[str, object] | None) -> Finding:
    if stored is None or stored.get("expected") != record.value:
        return not_checked(record)
    return Finding.from_json(stored, record)


def _is_own_spf(record: DnsRecord, identity: Identity) -> bool:
    return record.kind is Kind.SPF and record.name == identity.name


def _dkim(identity: Identity) -> list[DnsRecord]:
    return [
        DnsRecord(
            type="CNAME",
            name=f"{token}._domainkey.{identity.name}",
            value=f"{token}.{identity.signing_hosted_zone}",
            purpose="DKIM: lets SES sign the mail and verifies the domain",
            required=True,
        )
        for token in identity.dkim_tokens
    ]


def _ownership(identity: Identity) -> list[DnsRecord]:
    if not identity.verification_token:
        return []
    return [
        DnsRecord(
            type="TXT",
            name=f"_amazonses.{identity.name}",
            value=identity.verification_token,
            purpose="Ownership: verifies the domain before DKIM does",
            required=False,
            optional_note="Optional: SES's older way. The DKIM records verify the domain as well.",
        )
    ]


def _policies(domain: str) -> list[DnsRecord]:
    return [
        DnsRecord(
            type="TXT",
            name=domain,
            value="v=spf1 include:amazonses.com ~all",
            purpose="SPF: says that SES may send for the domain",
            required=False,
            optional_note="Recommended.",
        ),
        DnsRecord(
            type="TXT",
            name=f"_dmarc.{domain}",
            value=f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}",
            purpose="DMARC: asked for by Gmail, Yahoo and Microsoft",
            required=False,
            optional_note="Recommended. p=none asks for reports and keeps back no mail: a safe start.",
        ),
    ]


def _mail_from(identity: Identity, region: str) -> list[DnsRecord]:
    if not identity.mail_from_domain:
        return []
    note = "Recommended. Until SES finds both records, mail goes out with amazonses.com instead."
    return [
        DnsRecord(
            type="MX",
            name=identity.mail_from_domain,
            value=f"10 feedback-smtp.{region}.amazonses.com",
            purpose="MAIL FROM: bounces come back to SES under the domain's own name",
            required=False,
            optional_note=note,
        ),
        DnsRecord(
            type="TXT",
            name=identity.mail_from_domain,
            value="v=spf1 include:amazonses.com ~all",
            purpose="MAIL FROM: the SPF record that receivers look up",
            required=False,
            optional_note=note,
        ),
    ]
