"""Domains: what the checklist says about the tenant's domains and their DNS."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.checklist.facts import Domain, Facts
from core.checklist.items import Part, State, aged
from core.db.states import VerificationStatus
from core.dns import Finding, Kind, Mistake, Verdict


def verified(facts: Facts) -> Part:
    return _of_all(facts, _is_verified)


def dkim(facts: Facts) -> Part:
    return _of_all(facts, _has_dkim)


def spf(facts: Facts) -> Part:
    """The domain's own: its MAIL FROM has another."""
    return _of_all(
        facts,
        lambda domain: _of_findings(
            [finding for finding in domain.of(Kind.SPF) if finding.record.name == domain.identity.name]
        ),
    )


def dmarc(facts: Facts) -> Part:
    return _of_all(facts, lambda domain: _of_findings(domain.of(Kind.DMARC)))


def mail_from(facts: Facts) -> Part:
    return _of_all(facts, _has_mail_from)


def _of_all(facts: Facts, judge: Callable[[Domain], Part]) -> Part:
    """The worst of the tenant's domains gives the state and the advice."""
    if not facts.domains:
        found = "Only single addresses, which are for trials." if facts.senders else "No domain yet."
        return Part(State.TODO, found, "Add a sender on the tenant's own domain.")
    parts = [_of_one(facts, domain, judge(domain)) for domain in facts.domains]
    worst = max(parts, key=lambda part: part.state.badness)
    return worst._replace(found=" ".join(part.found for part in parts))


def _of_one(facts: Facts, domain: Domain, part: Part) -> Part:
    part = part._replace(found=f"{domain.identity.name}: {part.found}")
    if domain.identity.checked_at is None:
        return part._replace(found=f"{part.found}.")
    return aged(part, facts.now - domain.identity.checked_at)


def _is_verified(domain: Domain) -> Part:
    identity = domain.identity
    if identity.broken_at is not None:
        why = identity.broken_reason or "Its records are not found any more: publish them again."
        return Part(State.TODO, "not verified any more", why)
    if identity.verified_for_sending:
        return Part(State.DONE, "verified")
    if identity.checked_at is None:
        return Part(State.UNKNOWN, "not checked yet", "Publish its records, then verify it.")
    required = [finding for finding in domain.findings if finding.record.required]
    open_ = sum(finding.verdict != Verdict.FOUND for finding in required)
    if required and not open_:
        return Part(State.WAITING, "its records are in place, Amazon SES has not confirmed them yet")
    return Part(
        State.TODO,
        f"{open_} of {len(required)} required records are not in place",
        "Publish them, then verify the domain. Whoever manages its DNS can be sent a link to them.",
    )


def _has_dkim(domain: Domain) -> Part:
    """SES's own word says more than what DNS answers us: it is SES that signs."""
    part = _of_findings(domain.of(Kind.DKIM))
    if domain.identity.dkim_status != VerificationStatus.SUCCESS:
        if part.state is not State.DONE:
            return part
        return Part(State.WAITING, "its records are in place, Amazon SES has not confirmed them yet")
    if part.state is State.TODO:
        return part._replace(state=State.WARN, found=f"Amazon SES still signs, but {part.found}")
    return Part(State.DONE, "Amazon SES signs with it") if part.state is State.UNKNOWN else part


def _has_mail_from(domain: Domain) -> Part:
    name = domain.identity.mail_from_domain
    if name is None:
        found = "none, so mail leaves in the name of amazonses.com and SPF does not align"
        return Part(State.TODO, found, "Choose a MAIL FROM domain for it.")
    part = _of_findings(domain.at(name))
    if part.state is State.DONE and domain.identity.mail_from_status != VerificationStatus.SUCCESS:
        return Part(State.WAITING, f"{name} is in place, Amazon SES has not confirmed it yet")
    return part._replace(found=f"{name}, {part.found}")


def _of_findings(findings: Sequence[Finding]) -> Part:
    if not findings or all(finding.mistake == Mistake.NOT_CHECKED for finding in findings):
        return Part(State.UNKNOWN, "not checked yet", "Verify the domain to have its DNS looked at.")
    in_place = [finding for finding in findings if finding.verdict == Verdict.FOUND]
    count = f"{len(in_place)} of {len(findings)} records in place"
    wrong = [f for f in findings if f.verdict in (Verdict.MISSING, Verdict.DIFFERENT)]
    if wrong:
        return Part(State.TODO, count, wrong[0].advice)
    unknown = [finding for finding in findings if finding.verdict == Verdict.UNKNOWN]
    if unknown:
        return Part(State.UNKNOWN, count, unknown[0].advice)
    remark = next((finding.advice for finding in findings if finding.advice), "")
    return Part(State.WARN if remark else State.DONE, count, remark)
