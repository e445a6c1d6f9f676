"""Judging: what a block's outcomes lead to, in the transaction that stores them: nothing, a warning that
clears when it no longer holds, or a pause with its evidence in the audit log."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, literal_column, select
from sqlalchemy.orm import Session

from core import alerts, audit, tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import Alert, Campaign, CampaignReputation, Event, Message, Tenant
from core.db.states import EventType, SendingStatus
from core.reputation import windows
from core.reputation.rule import Signal
from core.reputation.stream import Finding
from core.reputation.windows import Standing, Step

WARNING = "reputation warning"
PAUSED = tenants.PAUSED_BY_REPUTATION
CAMPAIGNS_NAMED = 5
LATEST_COMPLAINTS = 2_000
_CAUSES = {Signal.BOUNCE: "bounces", Signal.COMPLAINT: "complaints"}
_tenants: Any = Tenant.__table__.c
_alerts: Any = Alert.__table__.c
# Built once: every block asks these.
_LOCK: Any = (
    select(
        _tenants.id,
        _tenants.slug,
        _tenants.name,
        _tenants.sending_status,
        _tenants.resumed_at,
        _tenants.probation_left,
        _tenants.warn_bounce_rate,
        _tenants.pause_bounce_rate,
        _tenants.warn_complaint_rate,
        _tenants.pause_complaint_rate,
    )
    .where(_tenants.id.in_(bindparam("ids", expanding=True)))
    .order_by(_tenants.id)
    .with_for_update(key_share=True)
)
_WARNED = select(_alerts.cause).where(
    _alerts.kind == WARNING,
    _alerts.cause.in_(bindparam("causes", expanding=True)),
    _alerts.cleared_at.is_(None),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tenant was paused, and why."""

    tenant_id: int
    finding: Finding
    reason: str


def lock(session: Session, tenant_ids: Collection[int]) -> dict[int, Row[Any]]:
    """The tenants that are about to be judged, held until the transaction ends: whoever resumes one waits,
    and so does whoever judges it meanwhile."""
    if not tenant_ids:
        return {}
    rows = session.connection().execute(_LOCK, {"ids": list(tenant_ids)})
    return {row.id: row for row in rows}


def judge(
    session: Session, locked: Mapping[int, Row[Any]], steps: Iterable[Step], at: datetime
) -> list[Verdict]:
    """Move the streams of the tenants held by `lock` on by these steps, and follow what that shows. Returns
    those that were paused by it."""
    if not locked:
        return []
    standings = windows.standings(session, locked, steps, _warned(session, locked), at)
    for standing in standings:
        is_paused = standing.tenant.sending_status == SendingStatus.DISABLED
        _feed(standing, is_judged=not is_paused)
    windows.write(session, standings, at)
    return [verdict for standing in standings if (verdict := _follow(session, standing, at))]


def look_again_due(app: App) -> str:
    """Job: clear the warnings that no longer hold although no mail of the tenant came to an end since."""
    with app.db.read() as session:
        open_warnings = select(Alert.tenant_id).where(Alert.kind == WARNING, Alert.cleared_at.is_(None))
        tenant_ids = sorted({id_ for id_ in session.scalars(open_warnings) if id_ is not None})
    cleared = 0
    for tenant_id in tenant_ids:
        with app.db.begin() as session:
            locked = lock(session, [tenant_id])
            for standing in windows.standings(session, locked, (), _warned(session, locked), app.now()):
                cleared += _clear(session, standing, app.now())
    return f"{cleared} warnings of {len(tenant_ids)} tenants no longer hold."


def _warned(session: Session, locked: Collection[int]) -> dict[int, set[Signal]]:
    """The warnings that are open, by tenant."""
    causes = {_cause(tenant_id, signal): (tenant_id, signal) for tenant_id in locked for signal in Signal}
    warned: defaultdict[int, set[Signal]] = defaultdict(set)
    for cause in session.connection().scalars(_WARNED, {"causes": list(causes)}):
        tenant_id, signal = causes[cause]
        warned[tenant_id].add(signal)
    return warned


def _cause(tenant_id: int, signal: Signal) -> str:
    return f"tenant {tenant_id} {_CAUSES[signal]}"


def _feed(standing: Standing, *, is_judged: bool) -> None:
    stream = standing.stream
    stream.is_judged = is_judged
    for run in standing.runs:
        if run.is_good:
            stream.pass_good(len(run.steps), run.campaign_id, run.hour_at)
            continue
        for step in run.steps:
            stream.feed(step, run.hour_at)


def _follow(session: Session, standing: Standing, at: datetime) -> Verdict | None:
    stream = standing.stream
    if stream.pause is not None:
        return _pause(session, standing.tenant, stream.pause, at)
    for signal, finding in stream.warnings.items():
        _warn(session, standing.tenant, signal, finding, at)
    _clear(session, standing, at)
    return None


def _pause(session: Session, tenant: Row[Any], finding: Finding, at: datetime) -> Verdict | None:
    if finding.signal is Signal.COMPLAINT:
        finding = replace(finding, domains=_complaint_domains(session, tenant.id, finding.campaign_id))
    campaigns = _campaigns(session, tenant.id, finding, at)
    reason = _sentence(finding, campaigns)
    if not tenants.disable(session, tenant.id, reason=reason, by=SYSTEM.username, at=at):
        return None
    domain, share = finding.top_domain or (None, None)
    audit.record(
        session,
        SYSTEM,
        "pause tenant",
        tenant.slug,
        at=at,
        tenant_id=tenant.id,
        reason=reason,
        signal=finding.signal.value,
        bad=finding.bad,
        outcomes=round(finding.among),
        lower_bound=round(finding.lower_bound, 4),
        scope=_scope(finding, campaigns),
        lasting=finding.is_lasting,
        top_domain=domain,
        top_domain_share=None if share is None else round(share, 2),
        campaigns=campaigns,
    )
    alerts.raise_once(
        session,
        kind=PAUSED,
        cause=f"tenant {tenant.id}",
        sentence=f"{tenant.name} was paused. {reason}{_of_domain(finding)} Find out why, then resume it.",
        tenant_id=tenant.id,
        at=at,
    )
    return Verdict(tenant.id, finding, reason)


def _warn(session: Session, tenant: Row[Any], signal: Signal, finding: Finding, at: datetime) -> None:
    campaigns = _campaigns(session, tenant.id, finding, at)
    alerts.raise_once(
        session,
        kind=WARNING,
        cause=_cause(tenant.id, signal),
        sentence=f"{tenant.name}: {_sentence(finding, campaigns)}{_of_domain(finding)}",
        tenant_id=tenant.id,
        at=at,
    )


def _clear(session: Session, standing: Standing, at: datetime) -> int:
    """The warnings that hold in no window and for no campaign that had outcomes lately."""
    stream, cleared = standing.stream, 0
    for signal in stream.warned - stream.warnings.keys():
        if next(stream.found(signal, stream.rule.warn[signal], *stream.campaigns), None) is None:
            cause = _cause(standing.tenant.id, signal)
            cleared += alerts.clear(session, kind=WARNING, cause=cause, at=at)
    return cleared


def _campaigns(session: Session, tenant_id: int, finding: Finding, at: datetime) -> list[dict[str, Any]]:
    """The campaign of the finding, or those that lately added most to it."""
    kept = CampaignReputation
    bad = kept.permanent_bounces if finding.signal is Signal.BOUNCE else kept.complaints
    query = (
        select(Campaign.id, Campaign.name, bad.label("bad"), kept.outcomes)
        .join(kept, kept.campaign_id == Campaign.id)
        .where(kept.tenant_id == tenant_id, Campaign.tenant_id == tenant_id)
    )
    if finding.campaign_id is not None:
        query = query.where(Campaign.id == finding.campaign_id)
    else:
        query = query.where(bad > 0, kept.last_at > at - windows.RECENT)
    rows = session.execute(query.order_by(bad.desc(), Campaign.id).limit(CAMPAIGNS_NAMED))
    return [{"id": row.id, "name": row.name, "bad": row.bad, "outcomes": row.outcomes} for row in rows]


def _complaint_domains(session: Session, tenant_id: int, campaign_id: int | None) -> dict[str, int]:
    """Where the tenant's latest complaints come from, among the newest of all: reading them stays short."""
    newest = (
        select(Event.tenant_id, Event.message_id, Event.recipient)
        # Written out, so that the index of these events alone serves.
        .where(Event.type == literal_column(f"'{EventType.COMPLAINT.value}'"), Event.counts_in_rates)
        .order_by(Event.received_at.desc())
        .limit(LATEST_COMPLAINTS)
        .subquery()
    )
    query = select(newest.c.recipient).where(newest.c.tenant_id == tenant_id)
    if campaign_id is not None:
        query = query.join(Message, Message.id == newest.c.message_id).where(
            Message.tenant_id == tenant_id, Message.campaign_id == campaign_id
        )
    return Counter(recipient.rpartition("@")[2] for recipient in session.scalars(query))


def _scope(finding: Finding, campaigns: list[dict[str, Any]]) -> str:
    if finding.campaign_id is None:
        return finding.scope
    return f"campaign '{campaigns[0]['name']}'"


def _sentence(finding: Finding, campaigns: list[dict[str, Any]]) -> str:
    bad, among, level = finding.bad, round(finding.among), finding.level.rate * 100
    if finding.signal is Signal.BOUNCE:
        rate = f"Bounce rate {finding.rate * 100:.1f} % ({bad:,} of {among:,} messages with an outcome)"
    else:
        rate = f"Complaint rate {finding.rate * 100:.2f} % ({bad:,} of {among:,} delivered messages)"
    said = f"{rate} in {_scope(finding, campaigns)}"
    return (
        f"{said}, which has lasted too long to be chance."
        if finding.is_lasting
        else f"{said}; the limit is {level:g} %."
    )


def _of_domain(finding: Finding) -> str:
    if finding.top_domain is None:
        return ""
    domain, share = finding.top_domain
    return f" {share * 100:.0f} % of them are at {domain}."
