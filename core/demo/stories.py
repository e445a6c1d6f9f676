"""Stories: what came back about one demo message, as SES would have told it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from core.db.states import BounceType, EventType
from core.events.machines import APPLE_PROXY

CLICKS_PER_OPEN = 0.18
# Of all delivered mail: what Apple Mail loads in advance, and what a gateway follows every link of.
LOADED_IN_ADVANCE, SCANNED = 0.22, 0.03
READER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Thunderbird/128.5.0"
LINKS = ("https://acme-mail.io/new", "https://acme-mail.io/offers", "https://acme-mail.io/contact")


class Reader(NamedTuple):
    address: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Mailing:
    """A campaign, or with no name a day's transactional mail. Rates are 0-1."""

    name: str | None
    at: datetime
    readers: list[Reader]
    bounce_rate: float
    complaint_rate: float
    open_rate: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Happening:
    """One event about one message, as far as it is stored and folded."""

    type: EventType
    occurred_at: datetime
    bounce_type: BounceType | None = None
    bounce_subtype: str | None = None
    feedback_type: str | None = None
    diagnostic: str | None = None
    counts_in_rates: bool = True
    link: str | None = None
    user_agent: str | None = None
    ip_address: str | None = None
    bot_likely: bool | None = None


def story_of(rng: Random, mailing: Mailing, armed_at: datetime, now: datetime) -> list[Happening]:
    """What came back about one message until now; at least that SES took it."""
    sent_at = armed_at + timedelta(seconds=rng.uniform(0.1, 0.9))
    found = [Happening(EventType.SEND, sent_at), *_outcome(rng, mailing, sent_at)]
    return [happening for happening in found if happening.occurred_at <= now]


def _outcome(rng: Random, mailing: Mailing, sent_at: datetime) -> Iterator[Happening]:
    chance = rng.random()
    arrives_at = sent_at + timedelta(seconds=rng.uniform(0.8, 25))
    if chance < mailing.bounce_rate:
        yield Happening(
            EventType.BOUNCE,
            arrives_at,
            BounceType.PERMANENT,
            "General",
            diagnostic="smtp; 550 5.1.1 no such user",
        )
        return
    if chance < mailing.bounce_rate * 1.3:
        yield Happening(
            EventType.BOUNCE,
            arrives_at,
            BounceType.TRANSIENT,
            "MailboxFull",
            diagnostic="smtp; 452 4.2.2 mailbox full",
        )
        return
    yield Happening(EventType.DELIVERY, arrives_at)
    if mailing.name:
        yield from _machines(rng, arrives_at)
    yield from _reader(rng, mailing, arrives_at)
    if rng.random() < mailing.complaint_rate:
        complained_at = arrives_at + timedelta(hours=rng.uniform(0.2, 30))
        yield Happening(EventType.COMPLAINT, complained_at, feedback_type="abuse")


def _machines(rng: Random, arrives_at: datetime) -> Iterator[Happening]:
    """What looks at a mail besides its reader."""
    chance, ip_address = rng.random(), f"192.0.2.{rng.randrange(1, 255)}"
    if chance < LOADED_IN_ADVANCE:
        at = arrives_at + timedelta(minutes=rng.uniform(0.2, 90))
        yield Happening(EventType.OPEN, at, user_agent=APPLE_PROXY, ip_address=ip_address)
    elif chance < LOADED_IN_ADVANCE + SCANNED:
        for n, link in enumerate(LINKS):
            at = arrives_at + timedelta(seconds=6 + n)
            yield Happening(EventType.CLICK, at, link=link, ip_address=ip_address, bot_likely=n == 0)


def _reader(rng: Random, mailing: Mailing, arrives_at: datetime) -> Iterator[Happening]:
    if rng.random() >= mailing.open_rate:
        return
    opened_at = arrives_at + timedelta(minutes=rng.expovariate(1 / 240))
    ip_address = f"198.51.100.{rng.randrange(1, 255)}"
    seen: dict[str, Any] = {"user_agent": READER, "ip_address": ip_address, "bot_likely": False}
    yield Happening(EventType.OPEN, opened_at, **seen)
    if rng.random() < CLICKS_PER_OPEN:
        clicked_at = opened_at + timedelta(seconds=rng.uniform(4, 90))
        yield Happening(EventType.CLICK, clicked_at, link=rng.choice(LINKS), **seen)
