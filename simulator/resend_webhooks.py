"""Resend's webhooks: what becomes of its mail, posted to one address until it is taken, signed as Svix signs.

Where to is part of the scenario (`resend_webhook`). What is not delivered yet is kept in memory alone: after
a restart nothing more is said about earlier mail.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import hmac
import itertools
import logging
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from simulator import scenario
from simulator.clock import iso_millis
from simulator.scenario import Fate
from simulator.store import MessageRow

if TYPE_CHECKING:
    from simulator.world import World

log = logging.getLogger(__name__)

# As SES's events here.
DELIVERED_AFTER, COMPLAINED_AFTER, OPENED_AFTER, CLICKED_AFTER = 0.05, 0.15, 0.20, 0.25
# When Svix tries again after a failure (docs.svix.com/retries).
TRIES_AFTER = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
AT_ONCE = 8
ANSWER_SECONDS = 15.0
LONGEST_REST = 0.5
_BOUNCES = {
    scenario.BOUNCE: ("Permanent", "General"),
    scenario.TRANSIENT: ("Transient", "MailboxFull"),
    scenario.OUT_OF_OFFICE: ("Transient", "General"),
}
_LISTED = (scenario.SUPPRESSED, scenario.GLOBALLY_SUPPRESSED)


@dataclass(order=True, slots=True)
class Waiting:
    due: float  # simulator's clock
    number: int
    id: str = field(compare=False)
    body: bytes = field(compare=False)
    tries: int = field(default=0, compare=False)


class Webhooks:
    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._numbers = itertools.count(1)

    def clear(self) -> None:
        self._waiting.clear()

    def plan(self, world: World, row: MessageRow, subject: str, fate: Fate) -> None:
        """Everything that will be said of one mail; nothing when nobody is to be told."""
        if not world.scenario.resend_webhook:
            return
        for name, after, values in story(fate):
            at = row.at + world.scenario.event_delay_seconds + after
            about = {
                "created_at": iso_millis(row.at),
                "email_id": row.message_id,
                "from": row.sender,
                "subject": subject,
                "tags": orjson.loads(row.tags),
                "to": row.recipient.split(", "),
                **values,
            }
            body = orjson.dumps({"created_at": iso_millis(at), "data": about, "type": name})
            self._add(Waiting(at, next(self._numbers), f"msg_{uuid.uuid4().hex}", body))

    def pending(self) -> int:
        return len(self._waiting)

    async def run(self, world: World) -> None:
        """Posts for ever, the earliest first."""
        while True:
            due = self._take_due(world.clock.now())
            if due:
                await asyncio.gather(*(self._post(world, each) for each in due))
            else:
                await asyncio.sleep(0.05 if self._waiting else LONGEST_REST)

    def _take_due(self, now: float) -> list[Waiting]:
        due: list[Waiting] = []
        while self._waiting and self._waiting[0].due <= now and len(due) < AT_ONCE:
            due.append(heapq.heappop(self._waiting))
        return due

    async def _post(self, world: World, each: Waiting) -> None:
        target = world.scenario.resend_webhook
        if not target or await asyncio.to_thread(taken, target["url"], target["secret"], each.id, each.body):
            return
        if each.tries == len(TRIES_AFTER):
            log.warning("A webhook of Resend was never taken by %s.", target["url"])
            return
        each.due, each.tries = world.clock.now() + TRIES_AFTER[each.tries], each.tries + 1
        self._add(each)

    def _add(self, each: Waiting) -> None:
        heapq.heappush(self._waiting, each)


def story(fate: Fate) -> Iterator[tuple[str, float, dict[str, Any]]]:
    """(event, seconds after sending, its own part) each."""
    if fate.outcome in _LISTED:
        part = {"message": "The address is on the suppression list.", "type": "OnAccountSuppressionList"}
        yield "email.suppressed", 0.0, {"suppressed": part}
        return
    if fate.outcome == scenario.REJECT:
        yield "email.failed", 0.0, {"failed": {"reason": "invalid_content"}}
        return
    yield "email.sent", 0.0, {}
    if fate.delayed:
        yield "email.delivery_delayed", DELIVERED_AFTER / 2, {}
    if fate.outcome not in (scenario.BOUNCE, scenario.TRANSIENT):
        yield "email.delivered", DELIVERED_AFTER, {}
    if kinds := _BOUNCES.get(fate.outcome):
        part = {"type": kinds[0], "subType": kinds[1], "message": "smtp; 550 5.1.1 the simulator's word"}
        yield "email.bounced", DELIVERED_AFTER, {"bounce": part}
    if fate.outcome == scenario.COMPLAINT:
        yield "email.complained", COMPLAINED_AFTER, {}
    seen = {"ipAddress": "203.0.113.9", "userAgent": "Mozilla/5.0 (X11; Linux x86_64)"}
    if fate.opened:
        yield "email.opened", OPENED_AFTER, {"open": seen}
    if fate.clicked:
        yield "email.clicked", CLICKED_AFTER, {"click": {**seen, "link": "https://example.com/"}}


def taken(url: str, secret: str, id_: str, body: bytes) -> bool:
    """One try. Signed with the real time: whoever checks it has no other."""
    at = str(int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.digest(key, f"{id_}.{at}.".encode() + body, hashlib.sha256)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Svix-Webhooks/1 (simulator)",
        "svix-id": id_,
        "svix-timestamp": at,
        "svix-signature": "v1," + base64.b64encode(digest).decode(),
    }
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return bool(200 <= answer.status < 300)
    except OSError as e:  # refused, timed out, or an HTTP error
        log.info("A webhook of Resend was not taken: %s", e)
        return False
