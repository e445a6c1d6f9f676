"""Dry run: what levels would have led to, on what became of a tenant's own mail."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, Tenant
from core.errors import InputError
from core.events import history
from core.reputation import Finding, Levels, Signal, levels_of, rule_of
from core.reputation.dry_run import Replay, WouldPause, WouldWarn
from core.reputation.maturity import median_hours
from core.tenants.limits import zone_of

MOST_EVENTS = 2_000_000
SINGLE_MAILS = "Single mails"
NAMED = 3  # pauses, in the sentence


@dataclass(frozen=True, slots=True)
class WouldHave:
    """A pause or a warning as it would have been; of a pause also the mail that had left by then and what
    would have been spared, so far as it had an outcome. `campaign`: whose mail decided it."""

    at: datetime
    campaign: str
    finding: Finding
    sent: int = 0
    spared: int = 0
    spared_bounces: int = 0
    spared_complaints: int = 0

    @property
    def bad(self) -> str:
        """In words."""
        return "bounces" if self.finding.signal is Signal.BOUNCE else "complaints"

    def as_json(self) -> dict[str, Any]:
        found = self.finding
        return {
            "at": self.at,
            "campaign": self.campaign,
            "signal": found.signal.value,
            "scope": found.scope,
            "bad": found.bad,
            "among": round(found.among),
            "rate": round(found.rate, 5),
            "limit": None if found.is_lasting else found.level.rate,
            "sent": self.sent,
            "spared": self.spared,
            "spared_bounces": self.spared_bounces,
            "spared_complaints": self.spared_complaints,
        }


@dataclass(frozen=True, slots=True)
class DryRun:
    """`cut_at`: the moment up to which it went, where the range holds more events than are replayed."""

    since: date
    until: date
    levels: Levels
    events: int
    cut_at: datetime | None
    pauses: list[WouldHave]
    warnings: list[WouldHave]
    pauses_now: int  # with the tenant's present levels

    @property
    def sentence(self) -> str:
        when = _range(self.since, self.until)
        if not self.events:
            return f"Nothing came back {when}, so there is nothing to try."
        said = f"Would have paused nobody {when}."
        if self.pauses:
            named = "; ".join(_short(pause) for pause in self.pauses[:NAMED])
            more = f"; and {len(self.pauses) - NAMED} more" if len(self.pauses) > NAMED else ""
            said = f"Would have paused {_campaigns(self.pauses)} {when}: {named}{more}."
        if self.pauses_now != len(self.pauses):
            said += f" With its present levels it would have been {_times(self.pauses_now)}."
        if self.cut_at is not None:
            said += (
                f" Only the first {self.events:,} events were tried, until {self.cut_at:%Y-%m-%d %H:%M} UTC."
            )
        return said


def dry_run(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    since: date,
    until: date,
    levels: Levels | None = None,
    progress: Callable[[int], None] = lambda events: None,
    most_events: int = MOST_EVENTS,
) -> DryRun:
    """What came back on these days of the tenant's time zone, judged anew by these levels (None: the present
    ones). Nothing is changed. `progress` is told how many events were replayed."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    _check(since, until, levels)
    with app.db.read() as session:
        tenant = tenants.get_tenant(session, tenant_id)
        begin, end = _bounds(tenant, since, until)
        campaigns = _campaigns_of(session, tenant_id)
        starts = sorted(started_at for _, started_at in campaigns.values() if started_at is not None)
        median, after_id = median_hours(session), history.begin_at(session, tenant_id, begin)
    chosen = levels or levels_of(tenant)
    rules = [rule_of(chosen), *([rule_of(tenant)] if rule_of(tenant) != rule_of(chosen) else [])]
    replays = [Replay(rule, starts, median, tenants.PROBATION_OUTCOMES) for rule in rules]
    events, cut_at = 0, None
    for page in _pages(app, tenant_id, after_id, (begin, end), most_events):
        for block in page.blocks:
            for each in replays:
                each.feed(block.outcomes, block.at)
        events += page.events
        progress(events)
        cut_at = None if page.last_id is None else page.blocks[-1].at
    names = {id_: name for id_, (name, _) in campaigns.items()}
    pauses = [_pause(pause, names) for pause in replays[0].pauses]
    warnings = [WouldHave(each.at, _name(each, names), each.finding) for each in replays[0].warnings]
    return DryRun(since, until, chosen, events, cut_at, pauses, warnings, len(replays[-1].pauses))


def _pages(
    app: App, tenant_id: int, after_id: int, between: tuple[datetime, datetime], left: int
) -> Iterator[history.Page]:
    """Each read on its own: whoever sends and stores meanwhile does not wait."""
    last_id: int | None = after_id
    while last_id is not None and left > 0:
        with app.db.read() as session:
            page = history.read_page(session, tenant_id, last_id, *between, min(left, history.PAGE))
        yield page
        last_id, left = page.last_id, left - page.events


def _check(since: date, until: date, levels: Levels | None) -> None:
    if since > until:
        raise InputError(
            f"The range ends on {until}, before it begins on {since}. Swap the two.", field="until"
        )
    if levels is not None:
        levels.check()


def _bounds(tenant: Tenant, since: date, until: date) -> tuple[datetime, datetime]:
    zone = zone_of(tenant.timezone)
    begin = datetime.combine(since, time.min, tzinfo=zone)
    end = datetime.combine(
        min(until, date.max - timedelta(days=1)) + timedelta(days=1), time.min, tzinfo=zone
    )
    return begin.astimezone(UTC), end.astimezone(UTC)


def _campaigns_of(session: Session, tenant_id: int) -> dict[int, tuple[str, datetime | None]]:
    query = select(Campaign.id, Campaign.name, Campaign.started_at).where(Campaign.tenant_id == tenant_id)
    return {id_: (name, started_at) for id_, name, started_at in session.execute(query)}


def _pause(pause: WouldPause, names: Mapping[int, str]) -> WouldHave:
    return WouldHave(
        pause.at,
        _name(pause, names),
        pause.finding,
        sent=pause.sent,
        spared=pause.spared,
        spared_bounces=pause.spared_bounces,
        spared_complaints=pause.spared_complaints,
    )


def _name(found: WouldPause | WouldWarn, names: Mapping[int, str]) -> str:
    return names.get(found.campaign_id, SINGLE_MAILS)


def _campaigns(pauses: Sequence[WouldHave]) -> str:
    number = len({pause.campaign for pause in pauses} - {SINGLE_MAILS})
    single = any(pause.campaign == SINGLE_MAILS for pause in pauses)
    said = [f"{number} campaign{'s' if number > 1 else ''}"] if number else []
    return " and ".join([*said, *(["single mails"] if single else [])])


def _short(pause: WouldHave) -> str:
    is_bounce = pause.finding.signal is Signal.BOUNCE
    spared = pause.spared_bounces if is_bounce else pause.spared_complaints
    return (
        f"{pause.campaign} after {pause.sent:,} mails ({pause.finding.bad:,} {pause.bad} of "
        f"{pause.finding.among:,.0f}, {spared:,} more spared)"
    )


def _range(since: date, until: date) -> str:
    next_day = until + timedelta(days=1)
    if since.day == 1 and next_day.day == 1 and (since.year, since.month) == (until.year, until.month):
        return f"in {since:%B %Y}"
    if since == until:
        return f"on {since.day} {since:%B %Y}"
    return f"from {since.day} {since:%B %Y} to {until.day} {until:%B %Y}"


def _times(number: int) -> str:
    return {0: "no pause", 1: "one pause"}.get(number, f"{number} pauses")
