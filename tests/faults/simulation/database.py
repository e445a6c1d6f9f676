"""Database: the product's own, which the plan may cut off at every transaction's edges."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from core.db.engine import Database
from tests.faults.simulation.world import World

VITAL = {"claim", "record", "ingest"}  # where it matters most what the database does
MOST_TROUBLES = 6  # each costs a schedule some time
FATES = ("power cut before the commit", "power cut after the commit", "lost before the commit", "answer lost")


class SimulatedDatabase(Database):
    """Without a world, or outside of it: as it is."""

    world: World | None = None
    committed: Callable[[], None] = staticmethod(lambda: None)

    @contextmanager
    def begin(self, *, power_cut_may_undo: bool = False) -> Iterator[Session]:
        world = self.world
        if world is None or world.running is None:
            with super().begin(power_cut_may_undo=power_cut_may_undo) as session:
                yield session
            return
        world.breathe()
        _refuse_when_away(world)
        fate = _fate(world, sys._getframe(2).f_code.co_name)
        world.in_transaction = True
        try:
            with super().begin(power_cut_may_undo=power_cut_may_undo) as session:
                yield session
                _meet(world, fate, FATES[0], FATES[2])
        finally:
            world.in_transaction = False
        self.committed()
        _meet(world, fate, FATES[1], FATES[3])
        world.breathe()

    @contextmanager
    def read(self) -> Iterator[Session]:
        world = self.world
        if world is None or world.running is None:
            with super().read() as session:
                yield session
            return
        _refuse_when_away(world)
        world.in_transaction = True
        try:
            with super().read() as session:
                yield session
        finally:
            world.in_transaction = False


def _fate(world: World, whose: str) -> str:
    """`whose`: the function that began the transaction."""
    plan = world.plan
    if world.troubles >= MOST_TROUBLES:
        return ""
    weight = 3.0 if whose in VITAL else 0.2
    for probability, fates in ((plan.cuts, FATES[:2]), (plan.answers_lost, FATES[2:])):
        if world.happens(probability * weight):
            fate = world.random.choice(fates)
            world.note(f"{fate} of {whose}")
            return fate
    return ""


def _meet(world: World, fate: str, cut: str, lost: str) -> None:
    if fate in (cut, lost):
        world.troubles += 1
    if fate and fate == cut:
        raise world.cut()
    if fate and fate == lost:
        _go_away(world, [0.0, 5.0, 60.0, 60.0])
        raise _away()


def _refuse_when_away(world: World) -> None:
    actor = world.running
    assert actor is not None
    if world.happens(world.plan.away):
        _go_away(world, [0.5, 5.0, 60.0])
    if world.is_turbulent and world.seconds < actor.process.away_until:
        raise _away()


def _go_away(world: World, choices: list[float]) -> None:
    """For one process only: a partition."""
    assert world.running is not None
    seconds = world.random.choice(choices)
    world.running.process.away_until = world.seconds + seconds
    world.note(f"DATABASE away for {seconds} s")


def _away() -> OperationalError:
    return OperationalError("a statement", {}, Exception("the server closed the connection"))
