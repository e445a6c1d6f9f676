"""Pausing: whether a tenant may send, decided here first; SES is told after.

Who is resumed is on probation: a tenth of the account's rate and less evidence that pauses it again, until
enough of its new mail has had an outcome.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, delete, select, update
from sqlalchemy.orm import Session

from core import accounts, alerts, audit, limits
from core.access import Action, Actor
from core.app import App
from core.db.models import CampaignReputation, DeliveredHour, OutcomeBucket, Tenant, TenantReputation
from core.db.states import SendingStatus
from core.errors import Conflict, InputError, ProviderError
from core.tenants.directory import get_tenant

PROBATION_OUTCOMES = 1_000
PAUSED_BY_REPUTATION = "paused by reputation"  # the kind of alert

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Probation:
    """`left`: outcomes of mail armed since the resume until full speed, of `outcomes`."""

    left: int
    outcomes: int
    recipients_per_second: float

    @property
    def sentence(self) -> str:
        return (
            f"On probation: {self.left:,} of {self.outcomes:,} outcomes to go, "
            f"at {self.recipients_per_second:.3g}/s."
        )


def pause(app: App, actor: Actor, tenant_id: int, reason: str) -> Tenant:
    """Nothing more leaves for the tenant, mail already queued waits. SES is told after: where it does not
    answer the pause stands all the same, and `sync_due` tells it later."""
    actor.must(Action.PAUSE_TENANT, tenant_id)
    reason = _checked_reason(reason)
    with app.db.begin() as session:
        tenant = get_tenant(session, tenant_id)
        if not disable(session, tenant_id, reason=reason, by=actor.username, at=app.now()):
            raise Conflict(f"{tenant.name} is paused already, by {tenant.paused_by}: {tenant.paused_reason}")
        audit.record(
            session, actor, "pause tenant", tenant.slug, at=app.now(), tenant_id=tenant_id, reason=reason
        )
    return _tell_ses(app, tenant_id)


def resume(app: App, actor: Actor, tenant_id: int, reason: str) -> Tenant:
    """The tenant sends again, on probation, and its reputation is judged anew from now. While AWS itself
    holds it SES is asked to reinstate it, and what SES makes of that is read within a minute."""
    actor.must(Action.RESUME_TENANT, tenant_id)
    reason = _checked_reason(reason)
    with app.db.begin() as session:
        tenant = get_tenant(session, tenant_id)
        if not _enable(session, tenant_id, app.now()):
            raise Conflict(f"{tenant.name} is not paused.")
        _judge_anew(session, tenant_id, app.now())
        audit.record(
            session, actor, "resume tenant", tenant.slug, at=app.now(), tenant_id=tenant_id, reason=reason
        )
    return _tell_ses(app, tenant_id)


def probation(app: App, actor: Actor, tenant_id: int) -> Probation | None:
    """None: it sends at full speed."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        if not tenant.probation_left:
            return None
        rate = accounts.get_account(session, tenant.account_id).max_send_rate
    full = rate if rate > 0 else 1.0
    return Probation(tenant.probation_left, PROBATION_OUTCOMES, full * limits.PROBATION_SHARE)


def disable(session: Session, tenant_id: int, *, reason: str, by: str, at: datetime) -> bool:
    """Pause, in the caller's transaction: True when this call did it, False when it was paused already.
    Leaves the audit to the caller and SES to `sync_due`."""
    paused = session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.sending_status != SendingStatus.DISABLED)
        .values(
            sending_status=SendingStatus.DISABLED,
            paused_reason=reason,
            paused_by=by,
            paused_at=at,
            ses_status_synced=False,
            version=Tenant.version + 1,
        )
        .returning(Tenant.id)
    )
    return paused.first() is not None


def sync_due(app: App) -> str:
    """Job: tell SES the status of the tenants it does not know yet."""
    with app.db.read() as session:
        waiting = list(
            session.scalars(
                select(Tenant.id).where(~Tenant.ses_status_synced, Tenant.ses_tenant_arn.is_not(None))
            )
        )
    told = sum(_tell_ses(app, tenant_id).ses_status_synced for tenant_id in waiting)
    return f"Told SES the status of {told} of {len(waiting)} tenants."


def _enable(session: Session, tenant_id: int, at: datetime) -> bool:
    resumed = session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.sending_status == SendingStatus.DISABLED)
        .values(
            sending_status=SendingStatus.ENABLED,
            paused_reason=None,
            paused_by=None,
            paused_at=None,
            resumed_at=at,
            probation_left=PROBATION_OUTCOMES,
            next_at=None,
            ses_status_synced=False,
            reputation_due=True,
            version=Tenant.version + 1,
        )
        .returning(Tenant.id)
    )
    return resumed.first() is not None


def _judge_anew(session: Session, tenant_id: int, at: datetime) -> None:
    """What was judged until now counts no more. The tenant's row is held: whoever judges it waits."""
    for table in (TenantReputation, OutcomeBucket, CampaignReputation, DeliveredHour):
        session.execute(delete(table).where(table.tenant_id == tenant_id))
    alerts.clear(session, kind=PAUSED_BY_REPUTATION, cause=f"tenant {tenant_id}", at=at)


def _tell_ses(app: App, tenant_id: int) -> Tenant:
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
    if tenant.ses_tenant_arn is None:
        return tenant
    told, unchanged = tenant.sending_status, Tenant.version == tenant.version
    try:
        app.providers.email(region).set_tenant_sending(
            tenant.ses_tenant_arn, enabled=told != SendingStatus.DISABLED
        )
    except ProviderError as e:
        logger.warning("SES was not told that %s is %s: %s", tenant.slug, told, e)
        if e.code != "NotFoundException":  # nobody sends as a tenant that is not there; repair tells it
            return tenant
    with app.db.begin() as session:
        # Paused or resumed while we were talking: SES may have heard the two in either order. The new version
        # tells whoever told it the other, and believes that this was the last word.
        session.execute(
            update(Tenant)
            .where(Tenant.id == tenant_id)
            .values(
                ses_status_synced=unchanged,
                version=case((unchanged, Tenant.version), else_=Tenant.version + 1),
            )
        )
        return get_tenant(session, tenant_id)


def _checked_reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise InputError(
            "Say why; the reason is shown to everybody who looks after the tenant.", field="reason"
        )
    return reason[:500]
