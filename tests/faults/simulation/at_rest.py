"""At rest: faults have ended, everything that could be sent or reported has been. Now all must add up."""

from __future__ import annotations

from collections import Counter
from typing import Any

from core import access, campaigns, events
from core.app import App
from core.events import counting
from core.providers.base import ProviderEvent
from tests.faults.simulation.actors import Scene
from tests.faults.simulation.watching import WRITTEN_TO, by_status
from tests.faults.simulation.world import Broken

FINAL = {*WRITTEN_TO, "cancelled", "expired", "suppressed", "failed", "unknown"}
EXPLAINED = {"cancelled", "expired", "suppressed", "failed", "unknown", "bounced", "complained"}
STRANGERS = (
    "SELECT m.id FROM messages m JOIN campaigns c ON c.id = m.campaign_id WHERE c.tenant_id <> m.tenant_id",
    "SELECT m.id FROM messages m JOIN senders s ON s.id = m.sender_id WHERE s.tenant_id <> m.tenant_id",
    "SELECT m.id FROM messages m JOIN contents c ON c.id = m.content_id WHERE c.tenant_id <> m.tenant_id",
    "SELECT e.id FROM events e JOIN messages m ON m.id = e.message_id WHERE e.tenant_id <> m.tenant_id",
    "SELECT e.id FROM events e JOIN messages m ON m.id = e.message_id WHERE e.recipient <> m.address_key",
    "SELECT s.id FROM suppressions s JOIN events e ON e.id = s.event_id WHERE e.tenant_id <> s.tenant_id",
    "SELECT s.id FROM suppressions s JOIN campaigns c ON c.id = s.campaign_id "
    "WHERE c.tenant_id <> s.tenant_id",
)
KEPT = (
    "SELECT * FROM messages ORDER BY id",
    "SELECT uid, message_id FROM events ORDER BY uid",
    "SELECT tenant_id, address, reason, released_at FROM suppressions ORDER BY tenant_id, address",
    "SELECT uid, reason, resolved_at FROM parked_events ORDER BY uid",
    "SELECT * FROM daily_counts ORDER BY tenant_id, day, campaign_id",
    "SELECT * FROM domain_counts ORDER BY tenant_id, domain, day",
    "SELECT * FROM domain_totals ORDER BY tenant_id, domain",
    "SELECT id, sending_status, paused_reason FROM tenants ORDER BY id",
)


def check(scene: Scene) -> None:
    app = scene.app_of(scene.process("check"))
    _i2(scene)
    _i6(scene)
    _i8(scene)
    _i9(scene, app)
    _i10(scene, app)
    if not scene.watch.is_resent:
        _limits(scene)


def _i2(scene: Scene) -> None:
    reasons = dict(scene.stage.query("SELECT id, reason FROM messages"))
    for row in scene.watch.rows.values():
        if row.status not in FINAL:
            raise Broken("I2", f"message {row.id} is {row.status} for ever")
        if row.status in EXPLAINED and not reasons[row.id]:
            raise Broken("I2", f"message {row.id} is {row.status}, and nothing says why")
    for campaign_id, (_, status) in scene.watch.campaigns.items():
        if status not in ("SENT", "CANCELLED"):
            raise Broken("I2", f"campaign {campaign_id} is {status} though nobody waits in it")
    unknown = [row.id for row in scene.watch.rows.values() if row.status == "unknown"]
    if unknown and not scene.world.plan.explains_unknown:
        raise Broken("I2", f"messages {unknown} are unknown although no answer was lost")


def _i6(scene: Scene) -> None:
    """What SES has reported is known, whatever came before it."""
    reported = {_message(told.event) for told in scene.ses.told if not told.is_lost}
    for row in scene.watch.rows.values():
        if row.id in reported and row.status not in WRITTEN_TO | {"failed"}:
            raise Broken("I6", f"message {row.id} is {row.status}, and SES has reported on it")


def _i8(scene: Scene) -> None:
    for query in STRANGERS:
        if found := scene.stage.query(query):
            raise Broken("I8", f"rows {found} belong to two tenants: {query}")


def _i9(scene: Scene, app: App) -> None:
    counts = by_status(scene.watch.rows)
    for tenant_id in (1, 2):
        for view in campaigns.list_campaigns(app, access.SYSTEM, tenant_id):
            shown = +Counter(view.counts)
            if not view.adds_up or shown != counts[view.campaign.id]:
                raise Broken(
                    "I9", f"campaign {view.campaign.id} shows {shown}, has {counts[view.campaign.id]}"
                )
        _check_rollups(app, tenant_id)


def _check_rollups(app: App, tenant_id: int) -> None:
    with app.db.read() as session:
        recounted = counting.recount(session, tenant_id)
        kept = counting.kept(session, tenant_id)
    if kept != recounted:
        raise Broken("I9", f"rollups of tenant {tenant_id} are {kept}, recounted {recounted}")


def _i10(scene: Scene, app: App) -> None:
    before = _kept(scene)
    again = [told.event for told in scene.ses.told if not told.is_lost]
    scene.world.random.shuffle(again)
    events.ingest(app, scene.account(), again)
    for query, was, now in zip(KEPT, before, _kept(scene), strict=True):
        if was != now:
            raise Broken("I10", f"the same events again change {query}: {_difference(was, now)}")


def _kept(scene: Scene) -> list[list[tuple[Any, ...]]]:
    return [scene.stage.query(query) for query in KEPT]


def _difference(was: list[Any], now: list[Any]) -> str:
    return f"{[row for row in was if row not in now]} became {[row for row in now if row not in was]}"


def _limits(scene: Scene) -> None:
    """What was granted and not used is given back. Two cases nobody can tell afterwards: a transaction whose
    answer was lost is written again or not at all, and what SES refuses of a call that was given up for lost
    stays unknown although it is given back."""
    plan, watch = scene.world.plan, scene.watch
    gives_up = plan.stalls or plan.away or plan.clock_steps or plan.ambushes
    if plan.answers_lost or (plan.entries_refused and gives_up):
        return
    used = watch.armed - watch.given_back
    granted = sum(row[0] for row in scene.stage.query("SELECT granted FROM lanes"))
    counted = sum(
        row[0] for row in scene.stage.query("SELECT recipients FROM tenant_usage WHERE span = 'day'")
    )
    if (granted, counted) != (used, used):
        raise Broken(
            "limits", f"{used} recipients were used, the lane counts {granted}, the tenants {counted}"
        )


def _message(event: ProviderEvent) -> int:
    return int((event.msg_uid or "").partition("-")[0])
