"""The sending engine on a clock that only the test moves: claims and answers, no provider, no waiting."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update

from core import routes
from core.app import App
from core.db.models import Account, Identity, Message
from core.providers.base import EntryResult, Outcome
from core.sending.claim import Call, Claimed, Turn, claim
from core.sending.record import Finished, record
from core.sending.turns import lanes_with_work
from core.sending.worker import call
from tests.ledger import Ledger, new_account, new_ledger

ROOM = 10_000


class HandClock:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Begun:
    """One call, when it leaves."""

    at: datetime
    lane: str
    tenant_id: int
    campaign_id: int | None
    recipients: int


class Engine:
    """`begun`: every call so far, of all its workers. Answers come at the moment at which a call begins."""

    def __init__(self, app: App, *, workers: int = 1, at: datetime | None = None) -> None:
        self.clock = HandClock(at or app.now())
        self.app = replace(app, clock=self.clock)
        self.turns = [Turn(worker=f"worker {number}") for number in range(workers)]
        self.begun: list[Begun] = []
        self.longest_ahead = 0.0  # seconds from a claim to the last of its calls

    def claims(self, turn: Turn | None = None) -> list[Claimed]:
        """One worker's look at every lane."""
        with self.app.db.read() as session:
            lanes = lanes_with_work(session, routes.fallback_address(self.app))
        return [claim(self.app, turn or self.turns[0], lane, ROOM) for lane in lanes]

    def calls(self) -> list[Call]:
        return [each for claimed in self.claims() for each in claimed.calls]

    def look(self, *outcomes: Outcome) -> list[Begun]:
        """Every worker claims once for each lane; `outcomes`: of each call's recipients, in turn."""
        return self.take([claimed for turn in self.turns for claimed in self.claims(turn)], *outcomes)

    def take(self, claimed: Iterable[Claimed], *outcomes: Outcome) -> list[Begun]:
        """The calls are made, and their answers written."""
        calls = [each for one in claimed for each in one.calls]
        begun = [self._begun(each) for each in calls]
        if calls:
            record(self.app, [self.answered(each, *outcomes) for each in calls])
            ahead = max(each.begin_at for each in calls) - self.clock.monotonic()
            self.longest_ahead = max(self.longest_ahead, ahead)
        self.begun += begun
        return begun

    def answered(self, of: Call, *outcomes: Outcome) -> Finished:
        wanted = outcomes or (Outcome.ACCEPTED,)
        results = [
            EntryResult(wanted[n % len(wanted)], f"ses-{id_}", reason="as the test wants")
            for n, id_ in enumerate(of.message_ids)
        ]
        return Finished(of, results, self._begun(of).at)

    def run(self, seconds: float, *outcomes: Outcome, step: float = 0.1) -> None:
        until = self.clock.at + timedelta(seconds=seconds)
        while self.clock.at < until:
            self.look(*outcomes)
            self.clock.sleep(step)

    def sent(self, chosen: Callable[[Begun], bool] = lambda _: True) -> int:
        return sum(each.recipients for each in self.begun if chosen(each))

    def _begun(self, of: Call) -> Begun:
        at = self.clock.at + timedelta(seconds=of.begin_at - self.clock.monotonic())
        return Begun(at, of.lane.name, of.tenant_id, of.campaign_id, len(of.message_ids))


def most_in(begun: Sequence[Begun], window: timedelta) -> int:
    """Recipients in the busiest window, wherever it starts."""
    return max(
        sum(each.recipients for each in begun if first.at <= each.at < first.at + window) for first in begun
    )


def fast_account(app: App, **values: Any) -> Account:
    return new_account(app, **{"max_send_rate": 200.0, "max_24_hour_send": -1.0, **values})


def campaign_of(app: App, account: Account, slug: str, people: int, **tenant_values: Any) -> Ledger:
    """A tenant whose campaign is under way, with nobody written to yet."""
    ledger = new_ledger(app, account, slug, **tenant_values)
    with app.db.begin() as session:
        verified = update(Identity).where(Identity.tenant_id == ledger.tenant.id)
        session.execute(verified.values(dkim_status="SUCCESS"))
    waiting(ledger, people)
    return ledger


def waiting(ledger: Ledger, people: int, **values: Any) -> list[Message]:
    addresses = [f"person{number:05d}@example.com" for number in range(people)]
    nothing_yet = {"status": "pending", "attempt": None, "provider": None, "armed_at": None}
    return ledger.add_messages(addresses, **{**nothing_yet, **values}) if addresses else []


def single(ledger: Ledger, people: int = 1, **values: Any) -> list[Message]:
    """Transactional mail that waits."""
    return waiting(ledger, people, campaign_id=None, **values)


def go_out(app: App, most: int = 20) -> list[Call]:
    """What one claim takes of each lane is really sent, and its answers are written."""
    with app.db.read() as session:
        lanes = lanes_with_work(session, routes.fallback_address(app))
    turn = Turn(worker="by hand")
    calls = [each for lane in lanes for each in claim(app, turn, lane, most).calls]
    record(app, [call(app, each) for each in calls])
    return calls
