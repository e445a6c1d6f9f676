"""Dead letters: what nobody could read or SQS gave up bringing, seen without losing it, replayed, discarded.

SQS has neither order nor pages. Every look takes letters out of sight for a while and gives them back;
another look may show others. A letter is therefore named by its id, and looked for.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core import audit
from core.access import Action, Actor
from core.accounts import get_account
from core.app import App
from core.db.models import Account
from core.errors import Conflict, NotFound, ProviderError
from core.events import parking
from core.events.ingest import BLOCK, Ingested
from core.events.parked import checked_reason
from core.events.storing import Received, read, store
from core.plain import mask_addresses
from core.providers.base import EventQueue, QueueMessage
from core.providers.ses_events import UnreadableEvent, parse

LOOK = 50
MOST_AT_ONCE = 10_000  # searched, replayed or discarded by one call
# Longer than a look or a block takes; who dies meanwhile loses nothing.
HIDDEN_SECONDS = 300
_WAIT_SECONDS = 1  # without waiting SQS asks only some of its servers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Letter:
    """`fault`: why it cannot be read; "" when it can. A role that may not see addresses gets them masked."""

    id: str
    says: str
    fault: str
    sent_at: datetime | None
    receives: int
    body: str


@dataclass(frozen=True, slots=True)
class Looked:
    """`count`: how many there are, as SQS estimates; `letters`: some of them, not the first."""

    letters: list[Letter]
    count: int


@dataclass(frozen=True, slots=True)
class Replayed:
    """`kept`: still unreadable, or still impossible to store. `missing`: asked for and not found."""

    replayed: int
    kept: int
    missing: int
    ingested: Ingested


def look(app: App, actor: Actor, account_id: int, limit: int = LOOK) -> Looked:
    """Up to `limit` letters. Raises ProviderError when SQS does not answer."""
    actor.must(Action.SEE_HEALTH)
    box = _open(app, account_id)
    try:
        letters = [message for batch in box.batches(limit) for message in batch]
    finally:
        box.give_back()
    shown = sorted(letters[:limit], key=lambda letter: (letter.sent_at is None, letter.sent_at, letter.id))
    count = max(box.sqs.depth(box.url), len(shown))
    return Looked([_letter(message, actor) for message in shown], count)


def replay(
    app: App, actor: Actor, account_id: int, ids: Collection[str] | None = None, most: int = MOST_AT_ONCE
) -> Replayed:
    """Read, store and only then delete these letters, or up to `most` of all. What still cannot be read or
    stored stays. Raises ProviderError when SQS does not answer; what was stored by then is deleted, or comes
    again and is known."""
    actor.must(Action.REPLAY_EVENTS)
    box = _open(app, account_id)
    done = _Done()
    try:
        for block in _blocks(box, ids, most):
            done.add(*_replay(app, actor, box, block))
    finally:
        box.give_back()
        if done.replayed or done.kept:
            _record(app, actor, "replay dead letters", box.account, replayed=done.replayed, kept=done.kept)
    missing = _missing(ids, done.replayed + done.kept)
    return Replayed(done.replayed, done.kept, missing, done.ingested)


def discard(
    app: App,
    actor: Actor,
    account_id: int,
    reason: str,
    ids: Collection[str] | None = None,
    most: int = MOST_AT_ONCE,
) -> int:
    """Delete these letters, or up to `most` of all, for ever; returns how many."""
    actor.must(Action.REPLAY_EVENTS)
    reason = checked_reason(reason)
    box = _open(app, account_id)
    count = 0
    try:
        for block in _blocks(box, ids, most):
            box.delete(block)
            _resolve(app, actor, block, f"discarded: {reason}")
            count += len(block)
    finally:
        box.give_back()
        if count:
            _record(app, actor, "discard dead letters", box.account, count=count, reason=reason)
    _missing(ids, count)
    return count


@dataclass
class _Done:
    replayed: int = 0
    kept: int = 0
    ingested: Ingested = field(default_factory=Ingested)

    def add(self, replayed: int, kept: int, ingested: Ingested) -> None:
        self.replayed += replayed
        self.kept += kept
        self.ingested += ingested


@dataclass
class _Box:
    """A dead-letter queue, and which of its letters are out of sight because of us."""

    account: Account
    sqs: EventQueue
    url: str
    held: dict[str, str] = field(default_factory=dict)  # receipts, by the letter's id

    def batches(self, most: int) -> Iterator[list[QueueMessage]]:
        """Letters not given before, until nothing new comes or `most` were given."""
        seen: set[str] = set()
        while len(seen) < most:
            received = self.sqs.receive(self.url, wait_seconds=_WAIT_SECONDS, hidden_seconds=HIDDEN_SECONDS)
            fresh = [message for message in received if message.id not in seen]
            self.held |= {message.id: message.receipt for message in received}
            if not fresh:
                return
            seen |= {message.id for message in fresh}
            yield fresh

    def delete(self, messages: Collection[QueueMessage]) -> None:
        self.sqs.delete(self.url, [self.held[message.id] for message in messages])
        for message in messages:
            del self.held[message.id]

    def give_back(self) -> None:
        """What is not given back is seen again after HIDDEN_SECONDS."""
        try:
            self.sqs.release(self.url, list(self.held.values()))
        except ProviderError as e:
            logger.warning("dead letters stay out of sight for some minutes: %s", e)


def _open(app: App, account_id: int) -> _Box:
    with app.db.read() as session:
        account = get_account(session, account_id)
    if not account.dead_letter_queue_url:
        raise Conflict("This account has no dead-letter queue yet. Add a tenant first, or repair its set-up.")
    return _Box(account, app.providers.queue(account.region), account.dead_letter_queue_url)


def _blocks(box: _Box, ids: Collection[str] | None, most: int) -> Iterator[list[QueueMessage]]:
    """What is wanted, in blocks of an ingest; those that are not stay out of sight until the end."""
    wanted = None if ids is None else set(ids)
    block: list[QueueMessage] = []
    for batch in box.batches(most):
        block += (message for message in batch if wanted is None or message.id in wanted)
        if wanted is not None:
            wanted -= {message.id for message in batch}
        if len(block) >= BLOCK:
            yield block
            block = []
        if wanted is not None and not wanted:
            break
    if block:
        yield block


def _replay(app: App, actor: Actor, box: _Box, block: list[QueueMessage]) -> tuple[int, int, Ingested]:
    received = [read(box.account, message) for message in block]
    readable = [one for one in received if one.events is not None]
    ingested, left = store(app, box.account, readable) if readable else (Ingested(), [])
    kept = {one.message.id for one in left}
    stored: list[Received] = [one for one in readable if one.message.id not in kept]
    box.delete([one.message for one in stored])
    _resolve(app, actor, [one.message for one in stored], parking.READ)
    return len(stored), len(block) - len(stored), ingested


def _resolve(app: App, actor: Actor, messages: Collection[QueueMessage], resolution: str) -> None:
    """What could not be read is parked as well."""
    with app.db.begin() as session:
        parking.resolve_bodies(
            session, [message.body for message in messages], app.now(), actor.username, resolution
        )


def _missing(ids: Collection[str] | None, found: int) -> int:
    missing = 0 if ids is None else len(set(ids)) - found
    if ids is not None and not found:
        raise NotFound(
            "SQS did not give these letters: they were replayed or discarded meanwhile, or somebody else "
            "looks at them just now. Look again in a minute."
        )
    return missing


def _letter(message: QueueMessage, actor: Actor) -> Letter:
    says, fault = _said(message.body)
    plain = actor.may(Action.SEE_ADDRESSES)
    return Letter(
        id=message.id,
        says=says if plain else mask_addresses(says),
        fault=fault,
        sent_at=message.sent_at,
        receives=message.receives,
        body=message.body if plain else mask_addresses(message.body),
    )


def _said(body: str) -> tuple[str, str]:
    try:
        events = parse(body)
    except UnreadableEvent as e:
        return body[:200], str(e)
    return "; ".join(f"{event.type} {event.recipient}" for event in events[:3]) or "no event", ""


def _record(app: App, actor: Actor, action: str, account: Account, **detail: Any) -> None:
    with app.db.begin() as session:
        audit.record(session, actor, action, account.name, at=app.now(), **detail)
