"""Watching: what must hold at every step, seen from outside: what SES took, and what the database says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any, NamedTuple

from core.providers.base import BulkEntry, BulkMail
from tests.faults.simulation.world import Broken, World

LATEST_SECONDS = 30.0
# Nobody whose mail SES took may be in one of these.
NOT_WRITTEN_TO = {"pending", "cancelled", "expired", "suppressed", "failed"}
WRITTEN_TO = {"sent", "delivered", "bounced", "complained"}
STATES = NOT_WRITTEN_TO | WRITTEN_TO | {"sending", "unknown"}
STOPPED = {"PAUSED", "CANCELLED", "DRAFT"}

Query = Callable[[str], list[tuple[Any, ...]]]

MESSAGES = (
    "SELECT id, tenant_id, campaign_id, address_key, status, attempt, earlier_attempts "
    "FROM messages ORDER BY id"
)


class Row(NamedTuple):
    id: int
    tenant_id: int
    campaign_id: int | None
    address: str
    status: str
    attempt: str | None
    earlier_attempts: str | None

    @property
    def resends(self) -> int:
        return len((self.earlier_attempts or "").split())


class Watch:
    """`tenants`: slugs by id. `link_of`: whereby the recipient of a message leaves the list."""

    def __init__(
        self, world: World, query: Query, tenants: dict[int, str], link_of: Callable[[int, int], str]
    ) -> None:
        self.world, self._query, self._tenants, self._link_of = world, query, tenants, link_of
        self.rows: dict[int, Row] = {}
        self._raw: list[tuple[Any, ...]] = []
        self.taken: Counter[int] = Counter()  # by message
        self.rejected_later: set[int] = set()
        self.armed = 0
        self.given_back = 0
        self.is_resent = False
        self.came_back: Callable[[], None] = lambda: None
        self.campaigns: dict[int, tuple[int, str]] = {}  # tenant, status
        self._sizes: Counter[int | None] = Counter()
        self._paused: dict[object, float] = {}
        self._suppressed: dict[tuple[int, str], float] = {}
        self.look()
        self._sizes = Counter(row.campaign_id for row in self.rows.values())

    def look(self) -> None:
        """After every commit of anybody."""
        self._look_at_stops()
        raw = self._query(MESSAGES)
        if raw == self._raw:
            return
        rows = {row[0]: Row(*row) for row in raw}
        for row in rows.values():
            before = self.rows.get(row.id)
            if before != row:
                self._check_move(before, row)
        if self._sizes:
            self._check_sizes(rows)
        self.rows, self._raw = rows, raw

    def accepted(self, mail: BulkMail, entry: BulkEntry) -> None:
        """SES takes one mail: nothing may forbid it now."""
        message_id = _message_of(entry)
        row = self.rows[message_id]
        self.taken[message_id] += 1
        self._check_owner(mail, entry, row)
        if self.taken[message_id] > 1 + row.resends:
            raise Broken(
                "I1", f"{row.address} is written to {self.taken[message_id]} times ({entry.msg_uid})"
            )
        self._refuse_late(
            "I4", self._suppressed.get((row.tenant_id, row.address)), f"{row.address} suppressed"
        )
        self._refuse_late(
            "I5", self._paused.get(self._tenants[row.tenant_id]), f"tenant of {entry.msg_uid} paused"
        )
        if row.campaign_id is not None:
            self._refuse_late("I5", self._paused.get(row.campaign_id), f"campaign {row.campaign_id} stopped")

    def rejects_later(self, entry: BulkEntry) -> None:
        """SES takes the mail, and rejects its content after that."""
        self.rejected_later.add(_message_of(entry))

    def _refuse_late(self, invariant: str, since: float | None, what: str) -> None:
        if since is not None and self.world.seconds > since + LATEST_SECONDS:
            raise Broken(invariant, f"{what} {self.world.seconds - since:.1f} s before SES takes it")

    def _check_owner(self, mail: BulkMail, entry: BulkEntry, row: Row) -> None:
        slug = self._tenants[row.tenant_id]
        told = {
            "address": entry.address.lower() == row.address,
            "tenant": mail.tenant_name == slug,
            "configuration set": mail.configuration_set == f"set-{slug}",
            "sender": f"@{slug}-mail.io" in mail.from_address,
            "tag": mail.tags["tenant"] == slug and mail.tags["campaign"] == str(row.campaign_id or 0),
            "link": row.campaign_id is None
            or self._link_of(row.tenant_id, row.id) in entry.headers["List-Unsubscribe"],
            "content": f"of {row.address}" in "".join(entry.fields.values()),
        }
        if wrong := [name for name, is_right in told.items() if not is_right]:
            raise Broken("I8", f"{entry.msg_uid} leaves with somebody else's {', '.join(wrong)}")

    def _check_move(self, before: Row | None, row: Row) -> None:
        was = before.status if before else "-"
        self.world.note(f"message {row.id}: {was} -> {row.status} {row.attempt or ''}")
        if row.status not in STATES:
            raise Broken("I7", f"message {row.id} is {row.status}")
        taken = self.taken[row.id]
        if taken and not row.resends and row.status in NOT_WRITTEN_TO - self._allowed(row):
            raise Broken("I3", f"SES took message {row.id}, which is {row.status}")
        if not taken and row.status in WRITTEN_TO:
            raise Broken("I3", f"message {row.id} is {row.status}, and SES never took it")
        if was in WRITTEN_TO and row.status in {"pending", "sending", "unknown"} | ({"sent"} - {was}):
            raise Broken("I6", f"message {row.id} was {was}, and is {row.status} again")
        if was == "pending" and row.status == "sending":
            self.armed += 1
        elif was in ("sending", "unknown") and row.status in NOT_WRITTEN_TO and not row.resends:
            self.given_back += row.id not in self.rejected_later
            if row.status == "pending":
                self.came_back()

    def _allowed(self, row: Row) -> set[str]:
        """SES may take a mail and reject its content later."""
        return {"failed"} if row.id in self.rejected_later else set()

    def _look_at_stops(self) -> None:
        stopped: set[object] = set()
        for tenant_id, status in self._query("SELECT id, sending_status FROM tenants"):
            if status == "DISABLED":
                stopped.add(self._tenants[tenant_id])
        for campaign_id, tenant_id, status in self._query("SELECT id, tenant_id, status FROM campaigns"):
            self.campaigns[campaign_id] = tenant_id, status
            if status in STOPPED:
                stopped.add(campaign_id)
        now = self.world.seconds
        self._paused = {who: self._paused.get(who, now) for who in stopped}
        listed = self._query("SELECT tenant_id, address FROM suppressions WHERE released_at IS NULL")
        self._suppressed = {(t, a): self._suppressed.get((t, a), now) for t, a in listed}

    def _check_sizes(self, rows: dict[int, Row]) -> None:
        sizes = Counter(row.campaign_id for row in rows.values())
        transactional = sizes.pop(None, 0)
        expected = +Counter({k: v for k, v in self._sizes.items() if k is not None})
        if sizes != expected or transactional < self._sizes.get(None, 0):
            raise Broken("I7", f"campaigns have {dict(sizes)} recipients of {dict(expected)}")


def _message_of(entry: BulkEntry) -> int:
    return int(entry.msg_uid.partition("-")[0])


def by_status(rows: dict[int, Row]) -> dict[int | None, Counter[str]]:
    counts: defaultdict[int | None, Counter[str]] = defaultdict(Counter)
    for row in rows.values():
        counts[row.campaign_id][row.status] += 1
    return counts
