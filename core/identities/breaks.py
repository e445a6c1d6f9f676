"""Breaks: a domain that was verified and is not any more, what that stops, and how it heals by itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from core import alerts, audit
from core.access import SYSTEM
from core.db.models import Campaign, Identity, Sender, Tenant
from core.db.states import CampaignStatus, FallbackPolicy, VerificationStatus
from core.dns import Finding, Verdict
from core.identities.records import DOMAIN

ALERT = "domain broken"
# Kept with a domain that never had DKIM: nothing more has to come back than was there.
LOST_OWNERSHIP = (
    "SES does not find the record any more that had verified it, and DKIM never was. "
    "Check its records on the Senders page."
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What an identity may carry."""

    verified_for_sending: bool
    dkim_status: str

    @classmethod
    def of(cls, identity: Identity) -> Standing:
        return cls(identity.verified_for_sending, identity.dkim_status)


def why_no_campaign(name: str, kind: str, verified_for_sending: bool, dkim_status: str) -> str | None:
    """What keeps campaigns of an identity back. Kept with a blocked campaign, so that it goes on when this is
    over: see `follow`."""
    if not verified_for_sending:
        return (
            f"{name} is not verified any more. The Senders page says what its DNS lacks; "
            "the campaign goes on by itself once the domain is verified again."
        )
    if kind == DOMAIN and dkim_status != VerificationStatus.SUCCESS:
        return (
            f"DKIM of {name} is not verified. The Senders page says what its DNS lacks; "
            "the campaign goes on by itself once DKIM is verified."
        )
    return None


def why_not_now(identity: Identity) -> str | None:
    return why_no_campaign(identity.name, identity.type, identity.verified_for_sending, identity.dkim_status)


def follow(
    session: Session,
    identity: Identity,
    before: Standing,
    findings: list[Finding],
    at: datetime,
    *,
    fallback_from: str = "",
) -> None:
    """What a check means for mail: raise or clear the alert, let the campaigns go on that waited for it.
    `fallback_from`: where mail of the second provider comes from; empty, there is none."""
    if _is_whole_again(identity):
        forget(session, identity, at)
    elif identity.broken_at is not None or _is_lost(identity, before):
        identity.broken_reason = _what_broke(identity, before, findings)
        identity.broken_at = identity.broken_at or at
        _raise(session, identity, identity.broken_reason, at, fallback_from)
    session.flush()  # a claim that blocks a campaign waits for this row: see core/sending/claim.py
    go_on(session, identity, at)


def forget(session: Session, identity: Identity, at: datetime) -> None:
    """It is whole again, or nobody wants it any more."""
    if identity.broken_at is not None:
        identity.broken_at, identity.broken_reason = None, None
        alerts.clear(session, kind=ALERT, cause=_cause(identity), at=at)


def go_on(session: Session, identity: Identity, at: datetime) -> None:
    """Campaigns that waited for the identity, when it is whole. Only those that were blocked for its sake
    alone: the reason is the one that was written then."""
    if why_not_now(identity) is None:
        _go_on(session, identity, at)


def _is_whole_again(identity: Identity) -> bool:
    """SES looks for DKIM's records anew when it is asked to: that it is pending again mends nothing."""
    if identity.broken_reason == LOST_OWNERSHIP:
        return identity.verified_for_sending
    return why_not_now(identity) is None


def _is_lost(identity: Identity, before: Standing) -> bool:
    """It was verified and is not now; or its DKIM was."""
    lost_verification = before.verified_for_sending and not identity.verified_for_sending
    had_dkim = before.dkim_status == VerificationStatus.SUCCESS
    lost_dkim = had_dkim and identity.dkim_status != VerificationStatus.SUCCESS
    return lost_verification or lost_dkim


def _raise(session: Session, identity: Identity, reason: str, at: datetime, fallback_from: str) -> None:
    campaigns = "wait, and go on by themselves once it is verified again."
    if fallback_from and _may_fall_back(session, identity):
        campaigns = f"go through Resend, from {parseaddr(fallback_from)[1]}, until it is verified again."
    alerts.raise_once(
        session,
        kind=ALERT,
        cause=_cause(identity),
        sentence=f"{identity.name} is not verified any more: {reason} Its campaigns {campaigns}",
        tenant_id=identity.tenant_id,
        at=at,
    )


def _may_fall_back(session: Session, identity: Identity) -> bool:
    """By the tenant's policy, as core/routes.py decides for each mail."""
    others = exists().where(
        Identity.tenant_id == identity.tenant_id,
        Identity.id != identity.id,
        Identity.type == DOMAIN,
        Identity.verified_for_sending,
        Identity.dkim_status == VerificationStatus.SUCCESS,
    )
    with session.no_autoflush:  # the alert is written before the identity, by everybody
        policy = session.get_one(Tenant, identity.tenant_id).fallback_policy
        if policy == FallbackPolicy.NO_VERIFIED_DOMAIN:
            return not session.scalar(select(others))
    return policy == FallbackPolicy.UNMATCHED_SENDER


def _what_broke(identity: Identity, before: Standing, findings: list[Finding]) -> str:
    if identity.broken_reason == LOST_OWNERSHIP or _never_had_dkim(identity, before):
        return LOST_OWNERSHIP
    wrong = [
        finding
        for finding in findings
        if finding.record.required and finding.verdict in (Verdict.MISSING, Verdict.DIFFERENT)
    ]
    if wrong:
        return f"{len(wrong)} of its DKIM records are missing or changed. {wrong[0].advice}"
    why = f" ({identity.error_type})" if identity.error_type else ""
    return f"SES does not find its records{why}. Check them on the Senders page."


def _never_had_dkim(identity: Identity, before: Standing) -> bool:
    """Of one that breaks now."""
    is_new = identity.broken_at is None and identity.type == DOMAIN
    return is_new and before.dkim_status != VerificationStatus.SUCCESS


def _go_on(session: Session, identity: Identity, at: datetime) -> None:
    reasons = (
        why_no_campaign(identity.name, identity.type, False, identity.dkim_status),
        why_no_campaign(identity.name, identity.type, True, VerificationStatus.PENDING),
    )
    senders = select(Sender.id).where(
        Sender.tenant_id == identity.tenant_id,
        Sender.identity_id == identity.id,
        Sender.deleted_at.is_(None),
    )
    going_on = session.execute(
        update(Campaign)
        .where(Campaign.tenant_id == identity.tenant_id, Campaign.status == CampaignStatus.BLOCKED)
        .where(Campaign.status_reason.in_(reasons), Campaign.sender_id.in_(senders))
        .values(status=CampaignStatus.SENDING, status_reason=None, version=Campaign.version + 1)
        .returning(Campaign.id, Campaign.name)
        .execution_options(synchronize_session=False)
    )
    for campaign_id, name in going_on.all():
        audit.record(
            session,
            SYSTEM,
            "resume campaign",
            f"campaign {campaign_id}",
            at=at,
            tenant_id=identity.tenant_id,
            name=name,
            reason=f"{identity.name} is verified again",
        )


def _cause(identity: Identity) -> str:
    return f"identity {identity.id}"
