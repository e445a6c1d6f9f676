"""Machines: which opens and clicks of one message no person made, from all that is known of it. Pure.

Two things are facts of others: SES's own word (`isBotEvent`, "Likely" or "Unlikely", since August 2026), and
the user agents of programs. The rest are figures of ours. SES's "Unlikely" outweighs one of them, that
something came too quickly, which SES sees as well; it outweighs no user agent that names a program, and no
burst, which shows only in several events.

A person's program that fetches through a proxy is a person: Gmail's (GoogleImageProxy), Yahoo's and Yandex's
load a picture when the mail is opened, although lists of crawlers name them. Apple Mail with Mail Privacy
Protection is a machine: it loads every picture in the background, whether or not the mail is read (Apple,
"Mail Privacy Protection & Privacy"), and says no more of itself than "Mozilla/5.0", as senders have found.
The opens of such a reader are lost to everybody; a click is not.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from importlib.metadata import version
from typing import Any, NamedTuple

from crawleruseragents import is_crawler

from core.db.states import EventType

# Raise the first figure with every change below: what was counted by other rules is then counted again
# (recounting.py). A newer list of crawlers is a change, too.
RULES = zlib.crc32(f"1, crawlers {version('crawler-user-agents')}".encode()) >> 1

# Ours, where the provider gives no word of its own: a gateway looks at a mail before it takes it, or at once.
TOO_QUICK = timedelta(seconds=2)
# Ours. Who reads does not follow three different links in ten seconds; who scans follows all of them.
BURST_LINKS, BURST_WITHIN = 3, timedelta(seconds=10)

APPLE_PROXY = "Mozilla/5.0"
# They load pictures for a person who looks at the mail, and nothing else: a click of theirs is no person's.
# okhttp is what mail programs on Android are made with.
READERS = ("imageproxy", "yahoomailproxy", "okhttp")
# Mail gateways that follow links and say who they are; lists of web crawlers do not know them.
GATEWAYS = (
    "barracuda",
    "proofpoint",
    "mimecast",
    "ironport",
    "ciscosecureemail",
    "messagelabs",
    "symantec",
    "trendmicro",
    "trend micro",
    "fortimail",
    "fortiguard",
    "fireeye",
    "sophos",
    "zscaler",
    "safelinks",
)
USER_AGENT_READ = 500  # characters of it; the rest is whoever's who wants us to search long


class By(StrEnum):
    PERSON = "person"
    MACHINE = "machine"


class Sign(StrEnum):
    """Why an open or a click is a machine's, as a reader of the timeline is told."""

    SES = "SES takes it for a machine's"
    PROGRAM = "a program that reads no mail"
    APPLE = "loaded in advance by Apple Mail"
    QUICK = f"within {TOO_QUICK.seconds} seconds of the delivery"
    BURST = f"one of {BURST_LINKS} links or more within {BURST_WITHIN.seconds} seconds"


class MadeBy(NamedTuple):
    """By whom a message was opened and clicked; a person's counts, whatever machines did besides."""

    opened_by: By | None
    clicked_by: By | None


def made_by(events: Sequence[Any]) -> MadeBy:
    """Of all events of one message, in any order; only opens, clicks and deliveries are looked at."""
    signs = signs_of(events)
    seen = {EventType.OPEN: By.MACHINE, EventType.CLICK: By.MACHINE}
    found: dict[str, By] = {}
    for event, sign in zip(events, signs, strict=True):
        if event.type in seen and found.get(event.type) != By.PERSON:
            found[event.type] = By.MACHINE if sign else By.PERSON
    return MadeBy(found.get(EventType.OPEN), found.get(EventType.CLICK))


def signs_of(events: Sequence[Any]) -> list[Sign | None]:
    """For each of one message's events: what shows that a machine made it, if anything does."""
    if not any(event.type in (EventType.OPEN, EventType.CLICK) for event in events):
        return [None] * len(events)
    delivered_at = min((e.occurred_at for e in events if e.type == EventType.DELIVERY), default=None)
    bursts = _bursts(events)
    return [_sign(event, delivered_at, bursts) for event in events]


def _sign(event: Any, delivered_at: datetime | None, bursts: Sequence[Burst]) -> Sign | None:
    if event.type not in (EventType.OPEN, EventType.CLICK):
        return None
    if event.bot_likely:
        return Sign.SES
    if sign := _of_user_agent(event.user_agent or "", is_click=event.type == EventType.CLICK):
        return sign
    if _is_too_quick(event, delivered_at):
        return Sign.QUICK
    latest = bisect_right(bursts, event.occurred_at, key=lambda burst: burst.since) - 1
    return Sign.BURST if latest >= 0 and bursts[latest].has(event) else None


def _is_too_quick(event: Any, delivered_at: datetime | None) -> bool:
    if delivered_at is None or event.bot_likely is False:
        return False
    return bool(event.occurred_at - delivered_at < TOO_QUICK)  # a sum of some times is too late for a date


class Burst(NamedTuple):
    """A time in which links were followed faster than anybody reads, and from which addresses."""

    since: datetime
    until: datetime
    ip_addresses: set[str | None]

    def has(self, event: Any) -> bool:
        """A click in it, or an open by the same machine."""
        if event.occurred_at > self.until:
            return False
        return event.type == EventType.CLICK or (event.ip_address or "") in self.ip_addresses


def _bursts(events: Sequence[Any]) -> list[Burst]:
    """One after the other. However many clicks there are, each is looked at twice."""
    clicks = sorted((e for e in events if e.type == EventType.CLICK and e.link), key=_moment)
    found: list[Burst] = []
    links: Counter[str] = Counter()
    first = 0
    for last, click in enumerate(clicks):
        links[click.link] += 1
        while click.occurred_at - clicks[first].occurred_at > BURST_WITHIN:
            _forget(links, clicks[first].link)
            first += 1
        if len(links) >= BURST_LINKS:
            _lengthen(found, clicks, first, last)
    return found


def _forget(links: Counter[str], link: str) -> None:
    links[link] -= 1
    if not links[link]:
        del links[link]


def _lengthen(bursts: list[Burst], clicks: Sequence[Any], first: int, last: int) -> None:
    """By these clicks; or they are the next one."""
    since, until = clicks[first].occurred_at, clicks[last].occurred_at
    if not bursts or bursts[-1].until < since:
        bursts.append(Burst(since, until, {each.ip_address for each in clicks[first : last + 1]}))
        return
    bursts[-1].ip_addresses.add(clicks[last].ip_address)
    bursts[-1] = bursts[-1]._replace(until=until)


def _moment(event: Any) -> datetime:
    moment: datetime = event.occurred_at
    return moment


@lru_cache(maxsize=4096)
def _of_user_agent(user_agent: str, *, is_click: bool) -> Sign | None:
    """None for no user agent: not every provider tells it."""
    read = user_agent[:USER_AGENT_READ].strip()
    if read == APPLE_PROXY:
        return Sign.PROGRAM if is_click else Sign.APPLE
    lowered = read.lower()
    if any(name in lowered for name in GATEWAYS):
        return Sign.PROGRAM
    if not is_click and any(name in lowered for name in READERS):
        return None
    return Sign.PROGRAM if is_crawler(read) else None
