"""World: virtual time, and one thing happening after the other in an order that the seed decides.

Every process is a set of greenlets that run the product's code until they wait: for time, for the database,
for SES. Nothing runs beside anything else, so the same seed is the same history.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from greenlet import getcurrent, greenlet

from tests.faults.simulation.plan import Plan

BEGINNING = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)


class PowerCut(BaseException):
    """The process is gone; nothing of it may catch this."""


class Broken(BaseException):
    """An invariant does not hold."""

    def __init__(self, invariant: str, sentence: str) -> None:
        super().__init__(f"{invariant}: {sentence}")
        self.invariant = invariant


@dataclass(eq=False)
class Process:
    """What dies at once. `clock_base`: monotonic clocks of two hosts have nothing in common."""

    name: str
    clock_base: float = 0.0
    is_dead: bool = False
    away_until: float = 0.0  # before it the database does not answer this process


@dataclass(eq=False)
class Actor:
    name: str
    process: Process
    wakes_at: float
    body: greenlet = field(repr=False)


class World:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = random.Random(plan.seed * 7919 + 1)
        self.seconds = 0.0
        self.clock_off = timedelta()  # what clocks on the wall are wrong by
        self.actors: list[Actor] = []
        self.running: Actor | None = None
        self.is_turbulent = True
        self.is_over = False
        self.in_transaction = False
        self.broken: Broken | None = None
        self.trace: list[tuple[float, str, str]] = []
        self.steps = 0
        self.troubles = 0
        self._hub = getcurrent()

    def spawn(self, name: str, process: Process, run: Callable[[], object], after: float = 0.0) -> Actor:
        actor = Actor(name, process, self.seconds + after, greenlet(lambda: self._live(actor, run)))
        self.actors.append(actor)
        return actor

    def run(self, until: Callable[[], bool], *, at_most_seconds: float) -> bool:
        """Let things happen; False when it did not come to `until` in time."""
        deadline = self.seconds + at_most_seconds
        while not until():
            if not self.actors or self.seconds > deadline:
                return False
            self._step()
            if self.broken:
                raise self.broken
        return True

    def sleep(self, seconds: float) -> None:
        """The running actor waits, and others go on meanwhile."""
        actor = self.running
        assert actor is not None
        if self.in_transaction:
            raise Broken("no waiting in a transaction", f"{actor.name} waits with one open")
        actor.wakes_at = self.seconds + max(0.0, seconds)
        self._hub.switch()
        if actor.process.is_dead:
            raise PowerCut

    def breathe(self, longest_stall: float = 20.0) -> None:
        """Between two steps some time passes, sometimes a lot."""
        plan = self.plan
        if self.is_turbulent and self.random.random() < plan.stalls:
            seconds = self.random.uniform(0.5, longest_stall)
            self.note(f"hangs for {seconds:.1f} s")
            self.sleep(seconds)
        else:
            self.sleep(self.random.expovariate(400))

    def happens(self, probability: float) -> bool:
        return self.is_turbulent and probability > 0 and self.random.random() < probability

    def cut(self) -> PowerCut:
        """The running process ends here: raise what this returns."""
        assert self.running is not None
        self.running.process.is_dead = True
        for actor in self.actors:
            if actor.process is self.running.process:
                actor.wakes_at = min(actor.wakes_at, self.seconds)
        return PowerCut()

    def wall(self) -> datetime:
        return BEGINNING + timedelta(seconds=self.seconds) + self.clock_off

    def note(self, what: str) -> None:
        self.trace.append((self.seconds, self.running.name if self.running else "", what))

    def end(self) -> None:
        """Unwind whatever still waits."""
        for actor in self.actors:
            actor.process.is_dead = True
        while self.actors:
            self._switch_to(self.actors[0])

    def _step(self) -> None:
        soonest = min(actor.wakes_at for actor in self.actors)
        self.seconds = max(self.seconds, soonest)
        ready = [actor for actor in self.actors if actor.wakes_at <= self.seconds]
        self.steps += 1
        self._switch_to(self.random.choice(ready) if len(ready) > 1 else ready[0])

    def _switch_to(self, actor: Actor) -> None:
        self.running = actor
        actor.body.parent = self._hub = getcurrent()
        actor.body.switch()
        self.running = None
        if actor.body.dead:
            self.actors.remove(actor)

    def _live(self, actor: Actor, run: Callable[[], object]) -> None:
        try:
            if actor.process.is_dead:
                return
            run()
        except PowerCut:
            return
        except Broken as e:
            self.broken = self.broken or e
        except Exception:
            self.note("unexpected: " + traceback.format_exc())
            self.broken = self.broken or Broken("no surprise", traceback.format_exc())


class HostClock:
    """One process's clock: what the wall says may jump, what it measures may not."""

    def __init__(self, world: World, process: Process) -> None:
        self._world, self._process = world, process

    def now(self) -> datetime:
        return self._world.wall()

    def monotonic(self) -> float:
        return self._world.seconds + self._process.clock_base

    def sleep(self, seconds: float) -> None:
        self._world.sleep(seconds)
