"""Actors: schedulers with their threads and jobs, the ingest, and people who decide in between."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from core import access, accounts, campaigns, events, tenants
from core.app import App
from core.db.engine import AWAY
from core.errors import PostyardError
from core.sending import worker
from core.sending.claim import Call
from tests.faults.simulation.ses import SimulatedSes
from tests.faults.simulation.stage import Stage
from tests.faults.simulation.watching import Watch
from tests.faults.simulation.world import Actor, HostClock, PowerCut, Process, World

NOBODYS_PID = 2**22 + 1  # above Linux's largest
LONGEST_NAP_SECONDS = 60.0
LONGEST_NAP_AT_REST_SECONDS = 300.0
MOST_RESTARTS = 6


class Mailbox:
    """The sending loop's replies. Whoever finds nothing time after time sleeps longer: that costs the world
    less, and a slow machine does the same."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._items: deque[Any] = deque()
        self._waiting: Actor | None = None
        self._naps = 0

    def wake(self) -> None:
        if self._waiting is not None:
            self._waiting.wakes_at = self._world.seconds

    def put(self, item: Any) -> None:
        self._items.append(item)
        self.wake()

    def get_nowait(self) -> Any:
        if not self._items:
            raise queue.Empty
        self._naps = 0
        return self._items.popleft()

    def get(self, *, timeout: float) -> Any:
        world = self._world
        if not self._items:
            self._waiting = world.running
            longest = LONGEST_NAP_SECONDS if world.is_turbulent else LONGEST_NAP_AT_REST_SECONDS
            nap = timeout * 25**self._naps if timeout < 0.5 else longest / 10 * 5**self._naps
            world.sleep(min(longest, nap))
            self._waiting = None
            self._naps += 1
        return self.get_nowait()


class Crew(Executor):
    """The threads that call SES."""

    def __init__(self, scene: Scene, process: Process) -> None:
        self._scene, self._process = scene, process
        self._begun = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        world = self._scene.world
        self._begun += 1
        after = world.random.expovariate(400)
        if world.happens(world.plan.stalls):
            after = world.random.uniform(0.5, 30)
        if world.happens(world.plan.ambushes):
            after = world.random.uniform(35, 90)
            self._scene.ambush(args[-1])
        elif world.happens(world.plan.meddling):
            self._scene.meddle(args[-1])
        world.spawn(f"{self._process.name} call {self._begun}", self._process, lambda: fn(*args), after)


class Scene:
    """Everybody who acts in one schedule."""

    def __init__(self, world: World, stage: Stage, ses: SimulatedSes, watch: Watch) -> None:
        self.world, self.stage, self.ses, self.watch = world, stage, ses, watch
        self.is_over = threading.Event()
        self.stops: dict[Process, threading.Event] = {}  # of schedulers
        self.mailboxes: dict[Process, Mailbox] = {}
        self._numbers = 0
        self._account = None
        self.acts_under_way = 0
        self.watch.came_back = self.look_at_once
        self.meddle: Callable[[Call], None] = lambda call: None

    def app_of(self, process: Process) -> App:
        settings = self.stage.settings.model_copy(update={"data_dir": self.stage.directory / process.name})
        return App(settings, self.stage.db, self.ses, HostClock(self.world, process))  # type: ignore[arg-type]

    def process(self, name: str) -> Process:
        self._numbers += 1
        return Process(f"{name}{self._numbers}", clock_base=self.world.random.uniform(0, 1e6))

    def add_scheduler(self, after: float = 0.0) -> None:
        process = self.process("scheduler")
        app = self.app_of(process)
        Path(app.settings.data_dir, "installation.json").unlink(missing_ok=True)
        stop = self.stops[process] = threading.Event()
        self.world.spawn(process.name, process, lambda: self._send(app, process, stop), after)
        self.world.spawn(f"{process.name} jobs", process, lambda: self._jobs(app, stop), after + 0.1)

    def stop_schedulers(self, *, but: int = 0) -> None:
        """As an operator does: they end what they have begun."""
        living = [
            process for process in self.stops if not process.is_dead and not self.stops[process].is_set()
        ]
        for process in living[but:]:
            self.world.note(f"{process.name} is stopped")
            self.stops[process].set()

    def has_scheduler(self) -> bool:
        return any(not process.is_dead and not stop.is_set() for process, stop in self.stops.items())

    def is_calling(self) -> bool:
        """A process that lives, or is ending, has calls that may still come back."""
        return any(
            not actor.process.is_dead and (" call " in actor.name or self.is_ending(actor.process))
            for actor in self.world.actors
        )

    def is_ending(self, process: Process) -> bool:
        return process in self.stops and self.stops[process].is_set()

    def _send(self, app: App, process: Process, stop: threading.Event) -> None:
        loop = None
        try:
            while not stop.is_set():
                loop = worker.Loop(app, stop, Crew(self, process), until_idle=False)
                self.mailboxes[process] = loop.replies = Mailbox(self.world)  # type: ignore[assignment]
                try:
                    loop.run()
                except AWAY:  # as jobs.run_loop does
                    self.world.sleep(5.0)
        except PowerCut:
            self._bury(loop.turn.worker if loop else "")
            raise

    def _bury(self, name: str) -> None:
        """The machine tells at once, or nobody does and its lease ends."""
        world = self.world
        if world.is_over:
            return
        gone = f"pid = {NOBODYS_PID}" if world.random.random() < 0.5 else "host = 'elsewhere'"
        self.stage.query(f"UPDATE workers SET {gone} WHERE name = '{name}'")
        if not self.is_over.is_set() and (self._numbers < MOST_RESTARTS or not world.is_turbulent):
            self.add_scheduler(after=world.random.uniform(0.5, 20))

    def _jobs(self, app: App, stop: threading.Event) -> None:
        world = self.world
        while not stop.is_set():
            world.sleep(world.random.uniform(15, 50) if world.is_turbulent else 100.0)
            try:
                worker.reap_dead(app)
                if not world.is_turbulent or world.random.random() < 0.3:
                    tenants.sync_due(app)
                if world.random.random() < 0.1:
                    accounts.refresh_due(app)
                campaigns.expire_due(app)
                campaigns.finish_cancelled_due(app)
            except AWAY:
                continue

    def add_ingest(self, after: float = 0.0) -> None:
        process = self.process("ingest")
        app = self.app_of(process)
        self.world.spawn(process.name, process, lambda: self._ingest(app), after)

    def _ingest(self, app: App) -> None:
        world, ses = self.world, self.ses
        try:
            while not self.is_over.is_set():
                if world.is_turbulent:
                    world.sleep(world.random.choice([0.3, 5.0, 20.0]))
                else:  # at once, as soon as all has come
                    world.sleep(max([10.0, *(told.due - world.seconds for told in ses.queued)]))
                if not any(told.due <= world.seconds for told in ses.queued):
                    continue
                self._ingest_due(app)
        except PowerCut:
            if not world.is_over:
                self.add_ingest(after=world.random.uniform(0.5, 5))
            raise

    def _ingest_due(self, app: App) -> None:
        """What was stored leaves the queue, sometimes to come again."""
        world, ses = self.world, self.ses
        due = [told for told in ses.queued if told.due <= world.seconds]
        if not due:
            return
        world.random.shuffle(due)
        block = due[: world.random.choice([3, 500, 500])]
        try:
            events.ingest(app, self.account(), [told.event for told in block])
        except AWAY:
            return
        for told in block:
            ses.queued.remove(told)
            if world.happens(world.plan.events_doubled / 4):
                ses.queued.append(replace(told, due=world.seconds + 5))

    def account(self) -> Any:
        if self._account is None:
            with self.stage.db.read() as session:
                self._account = accounts.get_account(session, 1)
        return self._account

    def act(self, name: str, deed: Callable[[App], object], after: float = 0.0) -> None:
        """A person does something once, in a process of its own."""
        process = self.process("web")
        app = self.app_of(process)
        self.acts_under_way += 1

        def do() -> None:
            try:
                self.world.note(name)
                deed(app)
            except (PostyardError, *AWAY) as e:
                self.world.note(f"{name}: {e}")
            finally:
                self.acts_under_way -= 1
                if name.startswith("start") and self.world.random.random() < 0.7:
                    self.look_at_once()

        self.world.spawn(process.name, process, do, after)

    def look_at_once(self) -> None:
        """All schedulers look for work in the same moment, as they do every half second in earnest."""
        for mailbox in self.mailboxes.values():
            mailbox.wake()

    def ambush(self, call: Call) -> None:
        """Between arming and the call its tenant is paused, and the clock on the wall goes back."""
        self.world.note("AMBUSH: the clock goes back an hour")
        self.world.clock_off -= timedelta(hours=1)
        self.act(
            f"pause tenant {call.tenant_id}",
            lambda app: tenants.pause(app, access.SYSTEM, call.tenant_id, "Ambush."),
        )
