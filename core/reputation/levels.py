"""Levels: a tenant's own rates at which it is warned about and paused: below Postyard's, never above."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from core import audit, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Tenant
from core.errors import Conflict, InputError
from core.reputation.rule import PAUSE, WARN, Signal

LOWEST_SHARE = 0.1  # of Postyard's own: below it, the messages that are evidence enough are chance
POSTYARDS = {
    "warn_bounce_rate": WARN[Signal.BOUNCE].rate,
    "pause_bounce_rate": PAUSE[Signal.BOUNCE].rate,
    "warn_complaint_rate": WARN[Signal.COMPLAINT].rate,
    "pause_complaint_rate": PAUSE[Signal.COMPLAINT].rate,
}


@dataclass(frozen=True, slots=True)
class Levels:
    """Rates 0-1; None: Postyard's own."""

    warn_bounce_rate: float | None = None
    pause_bounce_rate: float | None = None
    warn_complaint_rate: float | None = None
    pause_complaint_rate: float | None = None

    def check(self) -> None:
        """Raises InputError."""
        for name, rate in asdict(self).items():
            if rate is not None:
                _check_rate(name, rate)
        _check_order("bounce", self.warn_bounce_rate, self.pause_bounce_rate)
        _check_order("complaint", self.warn_complaint_rate, self.pause_complaint_rate)


def levels_of(tenant: Any) -> Levels:
    return Levels(**{name: getattr(tenant, name) for name in POSTYARDS})


def own_levels(app: App, actor: Actor, tenant_id: int) -> Levels:
    """The tenant's own."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    with app.db.read() as session:
        return levels_of(tenants.get_tenant(session, tenant_id))


def set_levels(
    app: App, actor: Actor, tenant_id: int, levels: Levels, *, version: int | None = None
) -> Tenant:
    """They hold from the tenant's next bounce or complaint on. `version`: of the tenant as it was shown;
    Conflict when it is another by now."""
    actor.must(Action.SET_REPUTATION_LIMITS, tenant_id)
    levels.check()
    with one_wins("the tenant"), app.db.begin() as session:
        tenant = tenants.lock_tenant(session, tenant_id)
        if version not in (None, tenant.version):
            raise Conflict(f"Somebody else changed {tenant.name} just now. Look again.")
        before, after = asdict(levels_of(tenant)), asdict(levels)
        if before == after:
            return tenant
        for name, rate in after.items():
            setattr(tenant, name, rate)
        audit.record(
            session, actor, "set reputation levels", tenant.slug,
            at=app.now(), tenant_id=tenant_id, before=before, after=after,
        )  # fmt: skip
    return tenant


def percent(rate: float) -> str:
    return f"{rate * 100:.4g} %"


def _check_rate(name: str, rate: float) -> None:
    highest = POSTYARDS[name]
    if not LOWEST_SHARE * highest <= rate <= highest:
        raise InputError(
            f"The {_words(name)} is between {percent(LOWEST_SHARE * highest)} and Postyard's own "
            f"{percent(highest)}: a tenant's levels can only be lower. Leave it out for Postyard's own.",
            field=name,
        )


def _check_order(signal: str, warn: float | None, pause: float | None) -> None:
    if warn is not None and pause is not None and warn > pause:
        raise InputError(
            f"The {signal} rate that warns ({percent(warn)}) is above the one that pauses "
            f"({percent(pause)}), so nobody would be warned. Lower it, or leave it out.",
            field=f"warn_{signal}_rate",
        )


def _words(name: str) -> str:
    what, signal, _ = name.split("_")
    return f"{signal} rate that {what}s"
