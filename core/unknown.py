"""Unknown: messages whose fate nobody can tell, and what a person decides of those nobody reports.

SES's events settle most of them, through our tag. What was not reported 72 hours after it was armed, by an
ingest that has no lag, is for a person: sent again, as a new attempt, or left as it is. Nothing is sent again
by itself, and nothing another way than the first time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, func, select, update
from sqlalchemy.orm import Session

from core import alerts, audit
from core.access import Action, Actor
from core.accounts import get_account
from core.app import App
from core.campaigns import get_campaign, move, refuse_too_late, route_of
from core.db.models import Account, Alert, Campaign, Message, Tenant
from core.db.states import CampaignStatus, MessageStatus, ProviderName
from core.errors import Conflict, PostyardError, ProviderError
from core.events import seconds_behind
from core.routes import Route
from core.sending.worker import EVENTS_TELL
from core.tenants import get_tenant

SILENT_AFTER = timedelta(hours=72)
# Less is no lag: something always waits in the queue of an account that sends.
TOLERATED_LAG_SECONDS = 900.0
ALERT = "unknown messages"
MESSAGES_PER_STATEMENT = 5_000
# What is promised while events are awaited, and not kept then.
PROMISES = (EVENTS_TELL, "; its events will tell")
NO_WORD = "72 hours brought no word of it, so nobody knows whether it arrived."
ON_ITS_PAGE = "Send it again or leave it so on its campaign's page."
SINGLE = "It is not sent again by itself; if it arrived, a new message is a second one."
WAYS = {ProviderName.SES: "Amazon SES", ProviderName.RESEND: "Resend"}


@dataclass(frozen=True, slots=True)
class Unknown:
    """A campaign's unknown messages: `count` is `waiting` + `for_a_person` + `left`.

    `waiting`: events are still awaited, for the first of them until `ready_at`. `left`: a person wants them
    to stay so. `resendable`: of those for a person; `obstacle` says why it is not all of them.
    `lag_seconds` None: it was not asked for, because nothing is old enough, or SQS did not answer."""

    count: int
    waiting: int
    for_a_person: int
    left: int
    resendable: int
    obstacle: str
    oldest_at: datetime | None
    ready_at: datetime | None
    lag_seconds: float | None
    by_reason: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class _Group:
    reason: str
    provider: str
    is_silent: bool
    is_left: bool
    count: int
    oldest_at: datetime


def unknown_of(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> Unknown:
    """What is known of them. Asks SQS how far behind the ingest is, when that decides something."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        campaign = get_campaign(session, tenant_id, campaign_id)
        groups = _groups(session, campaign, app.now())
        way = _way_again(app, session, campaign)
    lag = _lag(app, tenant_id) if any(g.is_silent and not g.is_left for g in groups) else None
    caught_up = lag is not None and lag <= TOLERATED_LAG_SECONDS
    silent = [g for g in groups if g.is_silent and not g.is_left and caught_up]
    waiting = [g for g in groups if not g.is_left and g not in silent]
    oldest_waiting = min((g.oldest_at for g in waiting), default=None)
    resendable = [g for g in silent if isinstance(way, Route) and g.provider == way.provider]
    reasons: Counter[str] = Counter()
    for group in groups:
        reasons[group.reason] += group.count
    return Unknown(
        count=_sum(groups),
        waiting=_sum(waiting),
        for_a_person=_sum(silent),
        left=_sum([g for g in groups if g.is_left]),
        resendable=_sum(resendable),
        obstacle=_obstacle(way) if len(resendable) < len(silent) else "",
        oldest_at=min((g.oldest_at for g in groups), default=None),
        ready_at=oldest_waiting + SILENT_AFTER if oldest_waiting else None,
        lag_seconds=lag,
        by_reason=reasons.most_common(),
    )


def resend(app: App, actor: Actor, tenant_id: int, campaign_id: int, *, expected: int) -> int:
    """Send again what was never reported, as new attempts: some people may get it twice. `expected`: how many
    `resendable` the person was told of. The claim still leaves out whoever is suppressed by now.

    Raises Conflict (another number by now, cancelled, too late), InputError, SendingPaused, ProviderError."""
    actor.must(Action.RESEND_UNKNOWN, tenant_id)
    _refuse_lag(app, tenant_id, campaign_id)
    now = app.now()
    with app.db.begin() as session:
        route = _refuse_no_way(app, session, get_campaign(session, tenant_id, campaign_id))
        campaign = get_campaign(session, tenant_id, campaign_id, lock=True)
        _refuse_cancelled(campaign)  # while this waited for it
        ids = _lock(session, *_silent(campaign, now), Message.provider == route.provider)
        _refuse_another(expected, len(ids))
        _change(
            session,
            ids,
            status=MessageStatus.PENDING,
            attempt=None,
            worker=None,
            resent_by=actor.username,
            earlier_attempts=_with_the_last(),
            reason=f"To be sent again, as {actor.username} decided: its first attempt was never reported.",
        )
        action = "resend unknown messages"
        if campaign.status == CampaignStatus.SENT:
            move(session, actor, campaign, CampaignStatus.SENDING, action, now, messages=len(ids))
            campaign.finished_at = None
        else:
            _record(session, actor, campaign, action, now, len(ids))
        _clear_when_none(session, campaign, now)
    return len(ids)


def leave(app: App, actor: Actor, tenant_id: int, campaign_id: int, *, expected: int) -> int:
    """Those for a person stay unknown for good, unless an event still comes. `expected`: how many they were
    when the person looked; Conflict when it is another number by now."""
    actor.must(Action.RESEND_UNKNOWN, tenant_id)
    _refuse_lag(app, tenant_id, campaign_id)
    now = app.now()
    with app.db.begin() as session:
        campaign = get_campaign(session, tenant_id, campaign_id, lock=True)
        ids = _lock(session, *_silent(campaign, now))
        _refuse_another(expected, len(ids))
        reason = _known_by_then(f"Left so by {actor.username}.")
        _change(session, ids, left_by=actor.username, reason=reason)
        _record(session, actor, campaign, "leave unknown messages", now, len(ids))
        _clear_when_none(session, campaign, now)
    return len(ids)


def alert_due(app: App) -> str:
    """Those that nobody reported say so, and each campaign with messages for a person has one alert, until it
    has none."""
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).where(Account.id.in_(_accounts_with_silent(app)))))
        stand = session.scalar(
            select(Alert.id).where(Alert.kind == ALERT, Alert.cleared_at.is_(None)).limit(1)
        )
    if not accounts and stand is None:
        return ""
    caught_up = {account.id for account in accounts if _has_caught_up(app, account)}
    while _tell(app, caught_up):
        pass
    with app.db.begin() as session:
        found = _campaigns_with_silent(session, app.now())
        for tenant_id, campaign_id, account_id, count in found:
            if account_id in caught_up:
                _raise(session, tenant_id, campaign_id, count, app.now())
        _clear_but(session, {_cause(campaign_id) for _, campaign_id, _, _ in found}, app.now())
    return f"{len(found)} campaigns have unknown messages that nobody reported"


def _accounts_with_silent(app: App) -> Select[int]:
    query = select(Tenant.account_id).join(Message, Message.tenant_id == Tenant.id)
    return query.where(*_for_a_person(app.now()))


def _tell(app: App, account_ids: Collection[int]) -> int:
    """Write beside a block of them what is known by now; how many it were."""
    with app.db.begin() as session:
        tenants = select(Tenant.id).where(Tenant.account_id.in_(account_ids))
        untold = ~func.coalesce(Message.reason, "").contains(NO_WORD)
        query = select(Message.id).where(*_for_a_person(app.now()), Message.tenant_id.in_(tenants), untold)
        query = query.order_by(Message.id).limit(MESSAGES_PER_STATEMENT).with_for_update()
        ids = list(session.scalars(query))
        what_to_do = case((Message.campaign_id.is_(None), SINGLE), else_=ON_ITS_PAGE)
        _change(session, ids, reason=_known_by_then(what_to_do))
    return len(ids)


def _known_by_then(further: str | ColumnElement[str]) -> ColumnElement[str]:
    """What was known at first, without what was promised, that 72 hours brought nothing, and `further`."""
    known: ColumnElement[str] = func.coalesce(Message.reason, "")
    for promise in (*PROMISES, NO_WORD, ON_ITS_PAGE, SINGLE):
        known = func.replace(known, promise, "")
    return func.trim(func.trim(known) + f" {NO_WORD} " + further)


def _groups(session: Session, campaign: Campaign, now: datetime) -> list[_Group]:
    kinds = (
        func.coalesce(Message.reason, "").label("reason"),
        func.coalesce(Message.provider, ProviderName.SES.value).label("provider"),
        (Message.armed_at <= now - SILENT_AFTER).label("is_silent"),
        Message.left_by.is_not(None).label("is_left"),
    )
    query = select(*kinds, func.count().label("count"), func.min(Message.armed_at).label("oldest_at"))
    query = query.where(*_unknown(campaign)).group_by(*kinds)
    return [_Group(**row._mapping) for row in session.execute(query)]


def _sum(groups: list[_Group]) -> int:
    return sum(group.count for group in groups)


def _unknown(campaign: Campaign) -> tuple[ColumnElement[bool], ...]:
    return (
        Message.tenant_id == campaign.tenant_id,
        Message.campaign_id == campaign.id,
        Message.status == MessageStatus.UNKNOWN,
    )


def _silent(campaign: Campaign, now: datetime) -> tuple[ColumnElement[bool], ...]:
    return (*_unknown(campaign), *_for_a_person(now))


def _for_a_person(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """Where the ingest has no lag."""
    return (
        Message.status == MessageStatus.UNKNOWN,
        Message.armed_at <= now - SILENT_AFTER,
        Message.left_by.is_(None),
    )


def _lock(session: Session, *conditions: ColumnElement[bool]) -> list[int]:
    """In the order of their ids, as the ingest locks them. One that an event settles at the same moment is
    not among them, or that event waits."""
    query = select(Message.id).where(*conditions).order_by(Message.id).with_for_update()
    return list(session.scalars(query))


def _change(session: Session, ids: list[int], **values: object) -> None:
    for first in range(0, len(ids), MESSAGES_PER_STATEMENT):
        block = ids[first : first + MESSAGES_PER_STATEMENT]
        session.execute(update(Message).where(Message.id.in_(block)).values(**values))


def _with_the_last() -> ColumnElement[str]:
    return func.trim(func.coalesce(Message.earlier_attempts, "") + " " + func.coalesce(Message.attempt, ""))


def _way_again(app: App, session: Session, campaign: Campaign) -> Route | str:
    try:
        return _refuse_no_way(app, session, campaign, hold=False)
    except PostyardError as e:
        return str(e)


def _refuse_no_way(app: App, session: Session, campaign: Campaign, *, hold: bool = True) -> Route:
    _refuse_cancelled(campaign)
    refuse_too_late(session, campaign, app.now())
    return route_of(app, session, campaign, hold=hold)


def _refuse_cancelled(campaign: Campaign) -> None:
    if campaign.status == CampaignStatus.CANCELLED:
        raise Conflict(f"“{campaign.name}” was cancelled: nothing of it is sent any more.")


def _obstacle(way: Route | str) -> str:
    if isinstance(way, str):
        return way
    return (
        f"Some of them did not go through {WAYS[way.provider]}, as mail of this sender does now. "
        "A message that may have arrived is never sent a second way."
    )


def _refuse_another(expected: int, found: int) -> None:
    if not found:
        raise Conflict(
            "No message waits for a person's decision now: events came, somebody decided, or 72 hours "
            "have not passed. Look again."
        )
    if found != expected:
        raise Conflict(
            f"There are {found:,} such messages now, not {expected:,}: events came meanwhile, or somebody "
            "else decided. Look again."
        )


def _account_of(session: Session, tenant_id: int) -> Account:
    return get_account(session, get_tenant(session, tenant_id).account_id)


def _lag(app: App, tenant_id: int) -> float | None:
    with app.db.read() as session:
        account = _account_of(session, tenant_id)
    try:
        return seconds_behind(app, account)
    except ProviderError:
        return None


def _has_caught_up(app: App, account: Account) -> bool:
    try:
        return seconds_behind(app, account) <= TOLERATED_LAG_SECONDS
    except ProviderError:
        return False


def _refuse_lag(app: App, tenant_id: int, campaign_id: int) -> None:
    with app.db.read() as session:
        get_campaign(session, tenant_id, campaign_id)
        account = _account_of(session, tenant_id)
    if seconds_behind(app, account) > TOLERATED_LAG_SECONDS:
        raise Conflict(
            "Events of Amazon SES are still waiting to be read, and some may be about these messages. "
            "Decide when they have been; the Health page shows how many wait."
        )


def _record(
    session: Session, actor: Actor, campaign: Campaign, action: str, at: datetime, count: int
) -> None:
    audit.record(
        session,
        actor,
        action,
        f"campaign {campaign.id}",
        at=at,
        tenant_id=campaign.tenant_id,
        name=campaign.name,
        messages=count,
    )


def _campaigns_with_silent(session: Session, now: datetime) -> list[tuple[int, int, int, int]]:
    """Tenant, campaign, account and number of each."""
    query = (
        select(Message.tenant_id, Message.campaign_id, Tenant.account_id, func.count())
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(*_for_a_person(now), Message.campaign_id.is_not(None))
        .group_by(Message.tenant_id, Message.campaign_id, Tenant.account_id)
        .order_by(Message.campaign_id)
    )
    return [
        (tenant_id, int(campaign_id or 0), account_id, count)
        for tenant_id, campaign_id, account_id, count in session.execute(query)
    ]


def _raise(session: Session, tenant_id: int, campaign_id: int, count: int, at: datetime) -> None:
    name = get_campaign(session, tenant_id, campaign_id).name
    messages = "1 message" if count == 1 else f"{count:,} messages"
    alerts.raise_once(
        session,
        kind=ALERT,
        cause=_cause(campaign_id),
        sentence=f"Nobody knows whether {messages} of “{name}” arrived, and 72 hours brought no word of it. "
        "Open the campaign and decide: send again, or leave it so.",
        tenant_id=tenant_id,
        at=at,
    )


def _clear_when_none(session: Session, campaign: Campaign, now: datetime) -> None:
    if session.scalar(select(Message.id).where(*_silent(campaign, now)).limit(1)) is None:
        alerts.clear(session, kind=ALERT, cause=_cause(campaign.id), at=now)


def _clear_but(session: Session, causes: set[str], at: datetime) -> None:
    stand = session.scalars(select(Alert.cause).where(Alert.kind == ALERT, Alert.cleared_at.is_(None))).all()
    for cause in set(stand) - causes:
        alerts.clear(session, kind=ALERT, cause=cause, at=at)


def _cause(campaign_id: int) -> str:
    return f"campaign {campaign_id}"
