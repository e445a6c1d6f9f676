"""Play: one schedule from its beginning to its rest, and what must hold then."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.simulation import at_rest
from tests.faults.simulation.actors import Scene
from tests.faults.simulation.people import People
from tests.faults.simulation.plan import Plan, plan_of
from tests.faults.simulation.ses import SimulatedSes
from tests.faults.simulation.stage import SLUGS, TOPIC, Stage
from tests.faults.simulation.watching import Watch
from tests.faults.simulation.world import Broken, World

LONGEST_TURBULENCE = 600.0
LONGEST_WAY_TO_REST = 3 * 3600.0
AFTER_72_HOURS = 73 * 3600.0


@dataclass(frozen=True)
class Played:
    seed: int
    broken: Broken | None
    trace: list[tuple[float, str, str]]
    plan: Plan
    accepted: int
    unknown: int
    steps: int
    seconds: float

    @property
    def story(self) -> str:
        lines = [f"{seconds:10.3f} {who:18} {what}" for seconds, who, what in self.trace]
        return "\n".join([f"seed {self.seed}: {self.plan}", *lines, str(self.broken or "all is well")])


def play(stage: Stage, seed: int, *, ambush: bool = False) -> Played:
    plan = plan_of(seed, ambush=ambush)
    world = World(plan)
    stage.anew()
    _choose_campaigns(stage, plan)
    tenants = dict(stage.query("SELECT id, slug FROM tenants"))
    watch = Watch(world, stage.query, tenants, stage.link_of)
    ses = SimulatedSes(world, watch, {slug: TOPIC.format(slug) for slug in SLUGS})
    scene = Scene(world, stage, ses, watch)
    broken = None
    with _performed_in(stage, world, watch):
        try:
            _perform(scene)
        except Broken as e:
            broken = e
        unknown = sum(row.status == "unknown" for row in watch.rows.values())
        world.is_over = True
        world.end()
    return Played(seed, broken, world.trace, plan, ses.accepted, unknown, world.steps, world.seconds)


def _perform(scene: Scene) -> None:
    world, people = scene.world, People(scene)
    for _ in range(world.plan.schedulers):
        scene.add_scheduler()
    scene.add_ingest()
    people.plan()
    world.run(
        lambda: world.seconds >= people.lasts_seconds and not scene.acts_under_way,
        at_most_seconds=LONGEST_TURBULENCE,
    )
    world.is_turbulent = False
    world.note("faults end")
    _come_to_rest(scene, people)
    at_rest.check(scene)
    if world.plan.ends_of_72_hours and any(row.status == "unknown" for row in scene.watch.rows.values()):
        _after_72_hours(scene, people)
        at_rest.check(scene)


def _after_72_hours(scene: Scene, people: People) -> None:
    world = scene.world
    world.seconds += AFTER_72_HOURS
    world.note("72 hours later")
    scene.is_over.clear()
    scene.watch.is_resent = True
    scene.add_scheduler()
    scene.add_ingest()
    people.resend_unknown()
    world.run(lambda: not scene.acts_under_way, at_most_seconds=60)
    _come_to_rest(scene, people)


def _come_to_rest(scene: Scene, people: People) -> None:
    world = scene.world
    people.put_right()
    scene.stop_schedulers(but=1)
    if not scene.has_scheduler():
        scene.add_scheduler()
    if not any(actor.name.startswith("ingest") and not actor.process.is_dead for actor in world.actors):
        scene.add_ingest()
    if not world.run(lambda: _rests(scene), at_most_seconds=LONGEST_WAY_TO_REST):
        waiting = [row for row in scene.watch.rows.values() if row.status in ("pending", "sending")]
        raise Broken("I2", f"never comes to rest: {waiting or 'an ended campaign or an event waits'}")
    scene.is_over.set()
    scene.stop_schedulers()
    if not world.run(lambda: not world.actors, at_most_seconds=LONGEST_WAY_TO_REST):
        raise Broken("I2", f"never ends: {world.actors}")


def _rests(scene: Scene) -> bool:
    if scene.ses.queued or scene.is_calling():
        return False
    if any(status not in ("SENT", "CANCELLED") for _, status in scene.watch.campaigns.values()):
        return False
    return all(row.status not in ("pending", "sending") for row in scene.watch.rows.values())


def _choose_campaigns(stage: Stage, plan: Plan) -> None:
    """So many of the drafts; the others never were."""
    draw = random.Random(plan.seed * 31 + 7)
    drafts = stage.query("SELECT id, recipients FROM campaigns WHERE status = 'DRAFT' ORDER BY tenant_id, id")
    draw.shuffle(drafts)
    kept, people = [], 0
    for campaign_id, recipients in drafts:
        if len(kept) < plan.campaigns and (not kept or people + recipients <= plan.recipients):
            kept.append(campaign_id)
            people += recipients
    ids = ", ".join(map(str, kept))
    stage.query(f"DELETE FROM messages WHERE campaign_id NOT IN ({ids})")
    stage.query(f"DELETE FROM campaigns WHERE id NOT IN ({ids})")
    stage.query(f"UPDATE accounts SET max_send_rate = {plan.rate}")
    if plan.per_minute:
        stage.query(f"UPDATE tenants SET per_minute = {plan.per_minute}")


@contextmanager
def without_collecting() -> Iterator[None]:
    """Around many schedules: looking for garbage is a fifth of what they cost."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _performed_in(stage: Stage, world: World, watch: Watch) -> Iterator[None]:
    stage.db.world, stage.db.committed = world, watch.look
    logger = logging.getLogger("core")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # what the product says about it would cost more than all else
    try:
        yield
    finally:
        logger.setLevel(level)
        stage.db.world = None
