"""SES's suppression lists and ours, put as a test wants them, and a clock that is ahead."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from core import alerts, suppressions
from core.access import SYSTEM
from core.app import App
from core.db.models import Tenant
from core.suppressions import Provenance
from core.suppressions.differences import SesList, of_tenant
from tests.simulators import Simulator

REFUSED = {"kind": "error", "times": 0, "status": 400, "code": "BadRequestException"}
AWAY = {"kind": "error", "times": 0, "status": 500}
LONG_AGO = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Later:
    """The clock of the machine, set forward; sleeping costs nothing."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def later(app: App, **by: float) -> App:
    return replace(app, clock=Later(timedelta(**by)))


def at_ses(simulator: Simulator, tenant: str, *addresses: str, reason: str = "BOUNCE", **entry: Any) -> None:
    entries = [
        {"address": address, "reason": reason, "at": LONG_AGO.timestamp(), **entry} for address in addresses
    ]
    simulator.call("POST", "/_sim/suppressed", {"tenant": tenant, "entries": entries})


def here(app: App, tenant_id: int, *addresses: str, reason: str = "BOUNCE", at: datetime = LONG_AGO) -> None:
    why = Provenance(reason, "event", "postyard")
    with app.db.begin() as session:
        suppressions.suppress(session, tenant_id, dict.fromkeys(addresses, why), at)


def differences(app: App, tenant_id: int) -> list[tuple[str, str, str]]:
    found = suppressions.list_differences(app, SYSTEM, tenant_id, limit=1000)
    return sorted((row.address, row.kind, row.reason) for row in found)


def listed(app: App, tenant_id: int) -> dict[str, str]:
    rows = suppressions.list_suppressions(app, SYSTEM, tenant_id, limit=1000)
    return {row.address: row.source for row in rows}


def listed_at_ses(app: App, tenant: str | None) -> set[str]:
    page = app.providers.email(app.settings.region).list_suppressed(tenant)
    return {entry.address for entry in page.entries}


def open_alerts(app: App) -> list[str]:
    return [row.cause for row in alerts.list_open(app, SYSTEM) if row.kind == suppressions.ALERT]


def list_of(app: App, tenant: Tenant) -> SesList:
    with app.db.read() as session:
        return of_tenant(session, tenant)
