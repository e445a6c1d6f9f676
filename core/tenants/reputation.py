"""Reputation: what SES itself thinks of a tenant: its policy, its findings, and the pauses AWS decides.

Notices and a daily sweep only say when to ask; what is stored is always SES's own answer. To ask costs two of
SES's control operations a tenant (GetReputationEntity, ListRecommendations).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from core import alerts, audit
from core.access import Action, Actor, Role
from core.app import App
from core.db.models import Tenant
from core.db.states import ReputationPolicy, SendingStatus
from core.errors import InputError, ProviderError
from core.providers.base import ReputationFinding, ReputationState
from core.tenants import resources
from core.tenants.directory import lock_tenant
from core.tenants.pausing import disable
from core.tenants.plan import DONE, PLAN, Seen, place_of

AMAZON = Actor(username="Amazon SES", role=Role.ADMIN)
"""AWS's own decisions, in the audit log under its name."""

PAUSED_BY_AWS = "paused by AWS"  # the kind of alert
SWEEP_EVERY = timedelta(days=1)
TRY_AGAIN_AFTER = timedelta(minutes=5)
CLOCKS_DIFFER = timedelta(minutes=5)
DUE_AT_ONCE = 10
SILENT_IN_A_ROW = 3  # then SES is away, and not only for one tenant
NO_CAUSE = "it gives no cause; its findings may tell"

logger = logging.getLogger(__name__)


def set_reputation_policy(app: App, actor: Actor, tenant_id: int, policy: str) -> Tenant:
    """When SES pauses the tenant by itself: never (none), after a finding of high impact (standard), after
    any (strict). Where SES refuses, nothing is changed."""
    actor.must(Action.SET_REPUTATION_POLICY, tenant_id)
    policy = _checked_policy(policy)
    place = place_of(app, tenant_id)
    if arn := place.tenant.ses_tenant_arn:
        place.email.set_reputation_policy(arn, policy)
    with app.db.begin() as session:
        tenant = lock_tenant(session, tenant_id)
        before, tenant.reputation_policy = tenant.reputation_policy, policy
        if arn:
            position = [step.key for step in PLAN].index("reputation policy")
            resources.keep(session, tenant_id, position, Seen("reputation policy", policy, DONE), app.now())
        if before != policy:
            audit.record(
                session,
                actor,
                "set reputation policy",
                tenant.slug,
                at=app.now(),
                tenant_id=tenant_id,
                before=before,
                after=policy,
            )
    return tenant


def held_by_aws(tenant: Tenant) -> str | None:
    """While AWS itself keeps the tenant's mail back, whatever its people decide."""
    if tenant.aws_status != SendingStatus.DISABLED:
        return None
    cause = (tenant.aws_status_cause or NO_CAUSE).rstrip(".")
    return (
        f"Amazon SES itself holds {tenant.name}'s mail: {cause}. Resuming asks it to reinstate the tenant; "
        "while it does not, put the findings right and write to AWS Support."
    )


def read_reputation(app: App, tenant_id: int) -> Tenant:
    """Ask SES and keep what it says, with all that follows. Raises ProviderError."""
    place = place_of(app, tenant_id)
    arn = place.tenant.ses_tenant_arn
    if arn is None:
        return place.tenant
    state, findings = place.email.get_reputation(arn), place.email.list_findings(arn)
    with app.db.begin() as session:
        tenant = lock_tenant(session, tenant_id)
        # A notice that came while we asked may be newer than the answer.
        tenant.reputation_due = tenant.version != place.tenant.version
        _note(session, tenant, state, findings, app.now())
    return tenant


def reputation_due(app: App) -> str:
    """Job: ask about the tenants that SES sent a notice of, and about every tenant once a day. One that SES
    does not answer for is tried again later, after the others."""
    with app.db.read() as session:
        due = list(session.scalars(_due(app.now())))
    read = silent = 0
    for tenant_id in due:
        try:
            read_reputation(app, tenant_id)
            read, silent = read + 1, 0
        except ProviderError as e:
            logger.warning("the reputation of tenant %s was not read: %s", tenant_id, e)
            silent = 0 if e.permanent else silent + 1
            _leave(app, tenant_id, until_the_next_sweep=e.permanent)
        if silent == SILENT_IN_A_ROW:
            break
    return f"Read SES's view of {read} of {len(due)} tenants."


def mark_reputation_due(session: Session, arns: Collection[str]) -> None:
    """SES sent notices about these tenants: ask it soon. What a notice claims is never taken over."""
    query = select(Tenant.id, Tenant.ses_tenant_arn).where(Tenant.ses_tenant_arn.in_(arns))
    locked = session.execute(query.order_by(Tenant.id).with_for_update(key_share=True))
    known = {str(row.ses_tenant_arn): row.id for row in locked}
    session.execute(
        update(Tenant)
        .where(Tenant.id.in_(known.values()))
        .values(reputation_due=True, version=Tenant.version + 1)
    )
    for arn in sorted(set(arns) - known.keys()):
        logger.warning("SES sent a notice about a tenant that is not known here: %.300r", arn)


def _due(at: datetime) -> Select[int]:
    last = func.coalesce(Tenant.reputation_checked_at, Tenant.created_at)
    never = Tenant.reputation_checked_at.is_(None)
    lately = Tenant.reputation_tried_at.between(at - TRY_AGAIN_AFTER, at)
    sweep = or_(last < at - SWEEP_EVERY, last > at + CLOCKS_DIFFER)  # written while a clock was wrong
    return (
        select(Tenant.id)
        .where(Tenant.ses_tenant_arn.is_not(None), ~func.coalesce(lately, False))
        .where(or_(Tenant.reputation_due, never, sweep))
        .order_by(Tenant.reputation_due.desc(), last, Tenant.id)
        .limit(DUE_AT_ONCE)
    )


def _leave(app: App, tenant_id: int, *, until_the_next_sweep: bool) -> None:
    """What SES refuses to tell is not asked for again before tomorrow."""
    asked = {"reputation_due": False, "reputation_checked_at": app.now()} if until_the_next_sweep else {}
    with app.db.begin() as session:
        session.execute(
            update(Tenant).where(Tenant.id == tenant_id).values(reputation_tried_at=app.now(), **asked)
        )


def _note(
    session: Session,
    tenant: Tenant,
    state: ReputationState,
    findings: Sequence[ReputationFinding],
    at: datetime,
) -> None:
    before = tenant.aws_status, tenant.aws_status_cause
    tenant.aws_status, tenant.aws_status_cause = state.aws_status, state.aws_cause
    tenant.reputation_impact = state.impact
    tenant.reputation_findings = [finding.as_json() for finding in findings]
    tenant.reputation_checked_at = at
    is_paused = tenant.sending_status == SendingStatus.DISABLED
    if is_paused != (state.customer_status == SendingStatus.DISABLED):
        tenant.ses_status_synced = False  # somebody changed it in SES: ours is told there again
    session.flush()
    if state.aws_status == SendingStatus.DISABLED:
        _follow_pause(session, tenant, is_news=before != (state.aws_status, state.aws_cause), at=at)
    elif before[0] == SendingStatus.DISABLED:
        alerts.clear(session, kind=PAUSED_BY_AWS, cause=f"tenant {tenant.id}", at=at)
        audit.record(session, AMAZON, "lift pause", tenant.slug, at=at, tenant_id=tenant.id)


def _follow_pause(session: Session, tenant: Tenant, *, is_news: bool, at: datetime) -> None:
    """AWS pauses once; after a person resumed the tenant here, only its next decision pauses it again."""
    cause = tenant.aws_status_cause or NO_CAUSE
    alerts.raise_once(
        session,
        kind=PAUSED_BY_AWS,
        cause=f"tenant {tenant.id}",
        sentence=str(held_by_aws(tenant)),
        tenant_id=tenant.id,
        at=at,
    )
    if is_news and disable(session, tenant.id, reason=cause[:500], by=AMAZON.username, at=at):
        audit.record(
            session, AMAZON, "pause tenant", tenant.slug, at=at, tenant_id=tenant.id, reason=cause[:500]
        )


def _checked_policy(policy: str) -> str:
    policy = policy.strip().lower()
    if policy not in set(ReputationPolicy):
        raise InputError(
            "A reputation policy is none (SES never pauses the tenant), standard (after a finding of high "
            "impact) or strict (after any).",
            field="policy",
        )
    return policy
