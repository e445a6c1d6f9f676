"""Domains: what the checklist says about the domain mail is sent from and its DNS.

The tenant's other domains keep nobody from sending: what they need stands on lines of their own, for one that
is not verified in a single line, under "Domain verified"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from core.checklist.facts import Domain, Facts
from core.checklist.items import Part, State, aged
from core.db.states import VerificationStatus
from core.dns import Finding, Kind, Mistake, Verdict


def verified(facts: Facts) -> Part:
    part = _of_sending_domain(facts, _is_verified)
    return part._replace(others=_of_others(facts, _is_verified, are_verified=False))


def dkim(facts: Facts) -> Part:
    return _of_all(facts, _has_dkim)


def spf(facts: Facts) -> Part:
    return _of_all(facts, _has_spf)


def dmarc(facts: Facts) -> Part:
    return _of_all(facts, lambda domain: _of_findings(domain.of(Kind.DMARC)))


def mail_from(facts: Facts) -> Part:
    return _of_all(facts, _has_mail_from)


def _of_all(facts: Facts, judge: Callable[[Domain], Part]) -> Part:
    part = _of_sending_domain(facts, judge)
    return part._replace(others=_of_others(facts, judge, are_verified=True))


def _of_sending_domain(facts: Facts, judge: Callable[[Domain], Part]) -> Part:
    domain = facts.sending_domain
    if domain is None:
        found = "Only single addresses, which are for trials." if facts.senders else "No domain yet."
        return Part(State.TODO, found, "Add a sender on the tenant's own domain.")
    return _of_one(facts, domain, judge(domain))


def _of_others(facts: Facts, judge: Callable[[Domain], Part], *, are_verified: bool) -> tuple[str, ...]:
    """What is to be done about those that mail is not sent from by default."""
    others = [
        domain
        for domain in facts.domains
        if domain != facts.sending_domain and domain.identity.verified_for_sending == are_verified
    ]
    judged = [(domain, judge(domain)) for domain in others]
    return tuple(_line(facts, domain, part) for domain, part in judged if part.advice)


def _line(facts: Facts, domain: Domain, part: Part) -> str:
    line = f"{_of_one(facts, domain, part).found} {part.advice}"
    if domain.identity.verified_for_sending:
        return line
    return f"{line} If nobody needs {domain.identity.name}, delete its senders."


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


def _has_spf(domain: Domain) -> Part:
    """The domain's own: its MAIL FROM has another."""
    return _of_findings([each for each in domain.of(Kind.SPF) if each.record.name == domain.identity.name])


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
