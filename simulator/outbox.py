"""Events on their way to SNS and EventBridge: kept on disk until a consumer has deleted them from its queue.

MiniStack's SQS looks through its whole backlog at every receive and delete, so a queue is only ever given
what its consumer is about to fetch; the rest waits here, in order, and a queue's depth is told with it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.bus import Bus, Queue, visible
from simulator.clock import Clock
from simulator.store import Store

log = logging.getLogger(__name__)

VISIBLE = 50  # messages that wait in a queue for the next receive
SLICE = 50  # published before anybody else gets the event loop
EVENT_BUS = "events:"  # target of what goes to EventBridge instead of a topic: "events:<region>"
SWEEP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Event:
    id: int
    due: float  # simulator's clock
    target: str
    kind: str  # SES's eventType
    body: str


class Outbox:
    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._numbers = itertools.count(1)
        self._later: list[tuple[float, int, Event]] = []
        self._ready: dict[str, deque[tuple[float, Event]]] = {}
        self._fed: dict[str, int] = {}  # SQS message id: event
        self._woken = asyncio.Event()

    def load(self) -> None:
        rows = self._store.read_now(lambda db: db.execute("SELECT * FROM outbox ORDER BY id").fetchall())
        for row in rows:
            event = Event(*row)
            heapq.heappush(self._later, (event.due, event.id, event))
        self._numbers = itertools.count(1 + max((row[0] for row in rows), default=0))

    def clear(self) -> None:
        self._later.clear()
        self._ready.clear()
        self._fed.clear()

    def add(self, events: Sequence[tuple[float, str, str, str]]) -> None:
        """(due, target, kind, body) each. On disk at the store's next block."""
        rows = [Event(next(self._numbers), *event) for event in events]
        for event in rows:
            heapq.heappush(self._later, (event.due, event.id, event))
        self._store.insert("outbox", [(e.id, e.due, e.target, e.kind, e.body) for e in rows])
        self.wake()

    def add_to_event_bus(
        self, due: float, region: str, detail_type: str, resources: list[str], detail: dict[str, Any]
    ) -> None:
        body = orjson.dumps({"resources": resources, "detail": detail}).decode()
        self.add([(due, EVENT_BUS + region, detail_type, body)])

    def wake(self) -> None:
        self._woken.set()

    def backlog(self, queue: Queue) -> int:
        """Events that are due for this queue and not in it yet."""
        self._collect_due()
        return sum(
            len(waiting)
            for target, waiting in self._ready.items()
            if any(each is queue for each in self._bus.queues_of(target))
        )

    def pending(self) -> int:
        """Everything not yet given to SNS or EventBridge."""
        return len(self._later) + sum(len(waiting) for waiting in self._ready.values())

    def top_up(self, only: Queue | None = None) -> int:
        """Publish what is due, as far as its queues have room; returns how many."""
        self._collect_due()
        published = 0
        rooms: dict[int, int] = {}
        for target in list(self._ready):
            queues = self._bus.queues_of(target)
            if only is not None and not any(queue is only for queue in queues):
                continue
            for queue in queues:
                rooms.setdefault(id(queue), VISIBLE - visible(queue))
            done = self._publish(target, min((rooms[id(queue)] for queue in queues), default=SLICE))
            for queue in queues:
                rooms[id(queue)] -= done
            published += done
        return published

    async def run(self) -> None:
        """Publishes for ever; a consumer that receives also makes room by itself (`top_up`)."""
        swept = time.monotonic()
        while True:
            self._woken.clear()
            published = 0
            try:
                published = self.top_up()
            except Exception:
                log.error("Events could not be published.", exc_info=True)
            if time.monotonic() - swept > SWEEP_SECONDS:
                swept = time.monotonic()
                self.forget_deleted()
            await self._rest(published)

    async def _rest(self, published: int) -> None:
        if published >= SLICE:
            await asyncio.sleep(0)
            return
        if self._ready:
            await asyncio.sleep(0.02)
            return
        wait = SWEEP_SECONDS
        if self._later:
            wait = min(wait, max(0.001, self._later[0][0] - self._clock.now()))
        try:
            await asyncio.wait_for(self._woken.wait(), wait)
        except TimeoutError:
            return

    def forget_deleted(self) -> None:
        """What no queue holds any more was deleted by its consumer: done."""
        if not self._fed:
            return
        waiting = self._bus.waiting()
        gone = [message for message in self._fed if message not in waiting]
        self._store.drop_events([self._fed.pop(message) for message in gone])

    def fed(self) -> list[str]:
        return list(self._fed)

    def _collect_due(self) -> None:
        now = self._clock.now()
        while self._later and self._later[0][0] <= now:
            due, _, event = heapq.heappop(self._later)
            real = min(time.time(), due - self._clock.offset)
            self._ready.setdefault(event.target, deque()).append((real, event))

    def _publish(self, target: str, count: int) -> int:
        if count <= 0:
            return 0
        waiting = self._ready[target]
        done = 0
        untracked = []
        while waiting and done < count:
            at, event = waiting.popleft()
            done += 1
            ids = self._deliver(event, at)
            if ids:
                self._fed[ids[-1]] = event.id
            else:
                untracked.append(event.id)
        if untracked:
            self._store.drop_events(untracked)
        del self._ready[target]
        if waiting:
            self._ready[target] = waiting  # to the end: topics that share a queue take turns
        return done

    def _deliver(self, event: Event, at: float) -> list[str]:
        if not event.target.startswith(EVENT_BUS):
            return self._bus.publish(event.target, event.body, at)
        content = orjson.loads(event.body)
        region = event.target.removeprefix(EVENT_BUS)
        self._bus.put_event(region, event.kind, content["resources"], content["detail"])
        return []
