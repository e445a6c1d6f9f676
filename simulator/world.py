"""Everything one simulator holds; handed to every operation."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import orjson

from simulator.bus import Bus
from simulator.calls import Calls
from simulator.clock import Clock
from simulator.dns_faults import DnsFaults
from simulator.errors import ControlError
from simulator.faults import Faults
from simulator.limits import RequestLimit, SendLimits
from simulator.model import Model
from simulator.outbox import Outbox
from simulator.resend_webhooks import Webhooks
from simulator.scenario import Scenario
from simulator.settings import ACCOUNT_ID
from simulator.state import (
    Account,
    Answered,
    Association,
    ConfigurationSet,
    Finding,
    Identity,
    Suppressed,
    Table,
    Tenant,
)
from simulator.store import Rows, Store, everything
from simulator.suppression import SuppressionLists
from simulator.zone import Zone


@dataclass(frozen=True, slots=True)
class Call:
    """One request to SES, its input checked against the model."""

    operation: str
    input: dict[str, Any]
    region: str
    caller: str
    source_ip: str
    body_size: int = 0

    def arn(self, resource: str) -> str:
        return f"arn:aws:ses:{self.region}:{ACCOUNT_ID}:{resource}"


class World:
    def __init__(self, store: Store) -> None:
        self.store = store
        self.model = Model()
        self.clock = Clock()
        self.bus = Bus(store)
        self.zone = Zone(store)
        self.dns_faults = DnsFaults()
        self.account = Account()
        self.tenants: Table[Tenant] = Table(store, "tenant", Tenant)
        self.associations: Table[Association] = Table(store, "association", Association)
        self.findings: Table[Finding] = Table(store, "finding", Finding)
        self.identities: Table[Identity] = Table(store, "identity", Identity)
        self.configuration_sets: Table[ConfigurationSet] = Table(store, "configuration_set", ConfigurationSet)
        self.suppressed = SuppressionLists(Table(store, "suppressed", Suppressed))
        self.limits = SendLimits()
        self.scenario = Scenario()
        self.faults = Faults()
        self.calls = Calls()
        self.resend_limit = RequestLimit()
        self.resend_answered: Table[Answered] = Table(store, "resend_answered", Answered)
        self.resend_webhooks = Webhooks()
        self.resend_under_way: set[str] = set()  # keys whose first request is not answered yet
        self.outbox = Outbox(store, self.bus, self.clock)
        self.last_message = 0
        self._kept: dict[str, Rows] = {}

    def load(self) -> None:
        """Take up where the last process ended."""
        loaders: dict[str, Callable[[str, bytes], None]] = {
            "tenant": self.tenants.load,
            "association": self.associations.load,
            "finding": self.findings.load,
            "identity": self.identities.load,
            "configuration_set": self.configuration_sets.load,
            "suppressed": self.suppressed.load,
            "resend_answered": self.resend_answered.load,
            "dns": self.zone.load,
            "ministack": self.bus.load,
            "setting": self._load_setting,
        }
        rows = self.store.read_now(lambda db: db.execute("SELECT kind, key, body FROM resources").fetchall())
        for kind, key, body in rows:
            loaders[kind](key, body)
        since = self.clock.now() - 86_400
        self.limits.load(self.store.read_now(lambda db: _counts(db, since)))
        self.last_message = self.store.read_now(_last_message)
        self.outbox.load()

    def _load_setting(self, key: str, body: bytes) -> None:
        value = orjson.loads(body)
        if key == "account":
            self.account = Account(**value)
        elif key == "clock":
            self.clock.set_offset(value)
        elif key == "scenario":
            self.scenario = Scenario.from_json(value)

    def save_account(self) -> None:
        self.store.put("setting", "account", orjson.dumps(self.account))

    def save_scenario(self) -> None:
        self.store.put("setting", "scenario", orjson.dumps(self.scenario))

    def advance_clock(self, seconds: float) -> None:
        self.clock.set_offset(self.clock.offset + seconds)
        self.store.put("setting", "clock", orjson.dumps(self.clock.offset))
        self.outbox.wake()

    async def keep(self, name: str) -> None:
        """What there is now, for `reset_to`; as after a restart, faults and calls are not part of it."""
        self.bus.save(self.outbox.fed(), whole=True)
        self._kept[name] = await self.store.read(everything)

    def reset_to(self, name: str) -> None:
        kept = self._kept.get(name)
        if kept is None:
            raise ControlError(f"Nothing is kept as {name!r}; keep it first.")
        self.reset()
        for table, rows in kept.items():
            self.store.insert(table, rows)
        self.load()

    def reset(self) -> None:
        """Empty, as if it had never run: account out of the sandbox, nothing stored, nothing under way."""
        tables = (self.tenants, self.associations, self.findings, self.identities, self.configuration_sets)
        for table in tables:
            table.clear()
        self.suppressed.clear()
        self.zone.clear()
        self.bus.clear()
        self.outbox.clear()
        self.limits.clear()
        self.faults.clear()
        self.calls.clear()
        self.resend_limit.clear()
        self.resend_answered.clear()
        self.resend_under_way.clear()
        self.resend_webhooks.clear()
        self.dns_faults.replace(())
        self.scenario = Scenario()
        self.clock.set_offset(0.0)
        self.last_message = 0
        self.account = Account()
        self.store.clear()


def _counts(db: sqlite3.Connection, since: float) -> list[tuple[float, int]]:
    """Recipients that count in the quota, per second."""
    return db.execute(
        "SELECT CAST(at AS INTEGER) AS second, SUM(counted) FROM messages WHERE at > ? GROUP BY second",
        (since,),
    ).fetchall()


def _last_message(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT COALESCE(MAX(id), 0) FROM messages").fetchone()[0])


ACCOUNT_FIELDS = frozenset(field.name for field in fields(Account))
