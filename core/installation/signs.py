"""Signs: what tells a copied or sleeping installation from one that simply went on."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from core.db.models import Installation

logger = logging.getLogger(__name__)

OVERDUE_AFTER = timedelta(minutes=10)
AWAY_FOR = timedelta(hours=2)
LOST_BEATS = 12
LOST_WITHIN = timedelta(minutes=1)
_CHOOSE = "Cancel or pause what must not leave, then let mail go."
_AGAIN = (
    "Whoever was written to since then will be written to again, unless the campaign is cancelled or paused "
    "before. " + _CHOOSE
)


@dataclass(frozen=True, slots=True)
class Host:
    """`machine` is empty where nothing tells one machine from another."""

    name: str
    machine: str


@dataclass(frozen=True, slots=True)
class Known:
    """The last beat of this host that was certainly committed; `name` is that of the database."""

    name: str
    beat: int
    at: datetime
    host: str
    machine: str


@dataclass(frozen=True, slots=True)
class Moment:
    now: datetime
    monotonic: float


@dataclass(frozen=True, slots=True)
class Sign:
    """Why mail may have to wait. `is_copy`: the database may not know what was sent."""

    what: str
    detail: str
    is_copy: bool = False

    @property
    def sentence(self) -> str:
        return f"{self.what}: {self.detail}"


def find_sign(
    row: Installation,
    known: Known | None,
    looked: Moment | None,
    moment: Moment,
    here: Host,
    *,
    is_sqlite: bool,
) -> Sign | None:
    """The gravest. `row` before this look's beat; `known` and `looked` of the last look that was committed,
    None for what a process cannot know."""
    return (
        _older(row, known, moment, is_sqlite)
        or _moved(known, here, is_sqlite)
        or _stepped(looked, moment, here)
        or _overdue(row, looked, moment)
        or _apart(row, looked, moment, here)
    )


def _older(row: Installation, known: Known | None, moment: Moment, is_sqlite: bool) -> Sign | None:
    if known is None or (row.name == known.name and row.beat >= known.beat):
        return None
    if known.name.split(".")[0] not in row.name.split("."):
        detail = f"{known.host} sent from another until {_time(known.at)}. {_AGAIN}"
        return Sign("This database is an older copy, or another one", detail, is_copy=True)
    if row.name != known.name:
        return None  # a person let it go since
    lost = known.beat - row.beat
    is_fresh = row.beat_at is not None and abs(moment.now - row.beat_at) <= LOST_WITHIN
    if not is_sqlite and lost <= LOST_BEATS and is_fresh:
        logger.warning("the database has lost its last %d beats: did a standby take over?", lost)
        return None
    detail = (
        f"{known.host} has seen it as of {_time(known.at)}, and now it is as of {_time(row.beat_at)}. It was "
        f"restored from a backup, or lost its last seconds when the power went. {_AGAIN}"
    )
    return Sign("This database is an older copy of itself", detail, is_copy=True)


def _moved(known: Known | None, here: Host, is_sqlite: bool) -> Sign | None:
    if known is None or not is_sqlite or not known.machine or not here.machine:
        return None
    if known.machine == here.machine:
        return None
    detail = (
        f"until {_time(known.at)} it sent on {known.host}, and now it is on another machine, {here.name}. If "
        f"the first one still runs, both write to the same people: end one of them. {_AGAIN}"
    )
    return Sign("This installation was copied or moved", detail, is_copy=True)


def _stepped(looked: Moment | None, moment: Moment, here: Host) -> Sign | None:
    if looked is None:
        return None
    passed = timedelta(seconds=moment.monotonic - looked.monotonic)
    ahead = moment.now - looked.now - passed
    if abs(ahead) <= OVERDUE_AFTER:
        return None
    way = "forward" if ahead > timedelta() else "back"
    detail = (
        f"from {_time(looked.now)} to {_time(moment.now)} it went {way} by {_long(ahead)} apart from the "
        f"time that passed. The machine slept, or its clock was set. Make sure that it is right. {_CHOOSE}"
    )
    return Sign(f"The clock of {here.name} jumped", detail)


def _overdue(row: Installation, looked: Moment | None, moment: Moment) -> Sign | None:
    lives_through = looked is not None and moment.monotonic - looked.monotonic < AWAY_FOR.total_seconds()
    if row.beat_at is None or lives_through or moment.now - row.beat_at <= OVERDUE_AFTER:
        return None
    detail = (
        f"since {_time(row.beat_at)}, for {_long(moment.now - row.beat_at)}, no scheduler could work: it was "
        "off, its machine slept, the database was away, or this database is a backup of that time. If it is "
        f"one: {_AGAIN}"
    )
    return Sign("Nothing was sent for long", detail)


def _apart(row: Installation, looked: Moment | None, moment: Moment, here: Host) -> Sign | None:
    if row.beat_at is None:
        return None
    passed = timedelta(seconds=moment.monotonic - looked.monotonic) if looked else timedelta()
    if -OVERDUE_AFTER <= moment.now - row.beat_at <= OVERDUE_AFTER + passed:
        return None
    detail = (
        f"{here.name} has {_time(moment.now)}, and the last beat of a scheduler is of {_time(row.beat_at)}. "
        f"Set the clock of every machine (NTP). {_CHOOSE}"
    )
    return Sign("Clocks differ", detail)


def _time(at: datetime | None) -> str:
    return f"{at.day} {at:%b %Y, %H:%M} UTC" if at else "its first day"


def _long(span: timedelta) -> str:
    minutes = round(abs(span).total_seconds() / 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{round(minutes / 60)} hours" if minutes < 48 * 60 else f"{round(minutes / 1440)} days"
