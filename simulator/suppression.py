"""Suppression lists: the account's and each tenant's, and the operations on them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from simulator.errors import ControlError, bad_request, not_found
from simulator.paging import page
from simulator.state import ConfigurationSet, Suppressed, Table, Tenant

if TYPE_CHECKING:
    from simulator.world import Call, World

ACCOUNT = "ACCOUNT"
TENANT = "TENANT"


class SuppressionLists:
    """Kept by the exact address, as SES keeps them; asked without regard to case when mail is sent."""

    def __init__(self, table: Table[Suppressed]) -> None:
        self._table = table
        self._folded: dict[tuple[str, str], set[str]] = {}

    def load(self, key: str, body: bytes) -> None:
        self._table.load(key, body)
        row = self._table.get(key)
        if row:
            self._index(row).add(row.address)

    def put(self, row: Suppressed) -> None:
        self._table.put(_key(row.tenant, row.address), row)
        self._index(row).add(row.address)

    def remove(self, tenant: str, address: str) -> None:
        row = self._table.get(_key(tenant, address))
        if row:
            self._index(row).discard(address)
            self._table.remove(_key(tenant, address))

    def get(self, tenant: str, address: str) -> Suppressed | None:
        return self._table.get(_key(tenant, address))

    def find(self, tenant: str, address: str, reasons: list[str]) -> Suppressed | None:
        """The entry that keeps mail from this address, whatever its spelling."""
        for exact in self._folded.get((tenant, address.lower()), ()):
            row = self._table.get(_key(tenant, exact))
            if row and row.reason in reasons:
                return row
        return None

    def of(self, tenant: str) -> list[Suppressed]:
        return [row for row in self._table if row.tenant == tenant]

    def clear(self) -> None:
        self._table.clear()
        self._folded.clear()

    def _index(self, row: Suppressed) -> set[str]:
        return self._folded.setdefault((row.tenant, row.address.lower()), set())


def _key(tenant: str, address: str) -> str:
    return f"{tenant}\0{address}"


def applicable(
    world: World, configuration_set: ConfigurationSet | None, tenant: Tenant | None
) -> tuple[str, list[str]]:
    """Whose list is asked ("": the account's), for which reasons: configuration set, tenant, account."""
    account_reasons = world.account.suppressed_reasons
    if configuration_set and configuration_set.suppressed_reasons is not None:
        scope, reasons = configuration_set.suppression_scope, configuration_set.suppressed_reasons
    elif tenant and tenant.suppressed_reasons is not None:
        scope, reasons = tenant.suppression_scope, tenant.suppressed_reasons
    else:
        scope, reasons = ACCOUNT, account_reasons
    if scope == TENANT and tenant:
        return tenant.name, reasons
    return "", reasons


def _list_name(world: World, call: Call) -> str:
    name = str(call.input.get("TenantName") or "")
    if name and name not in world.tenants:
        raise not_found(f"Tenant {name} does not exist.")
    return name


def _found(world: World, call: Call) -> Suppressed:
    address = call.input["EmailAddress"]
    row = world.suppressed.get(_list_name(world, call), address)
    if row is None:
        raise not_found(f"Email address {address} does not exist on your suppression list.")
    return row


def put_suppressed_destination(world: World, call: Call) -> dict[str, Any]:
    if not world.account.production_access:
        raise bad_request("Your account is in the sandbox: the suppression list cannot be changed.")
    address = call.input["EmailAddress"]
    if "@" not in address:
        raise bad_request(f"Invalid email address {address}.")
    world.suppressed.put(
        Suppressed(
            tenant=_list_name(world, call),
            address=address,
            reason=call.input["Reason"],
            updated_at=world.clock.now(),
        )
    )
    return {}


def get_suppressed_destination(world: World, call: Call) -> dict[str, Any]:
    row = _found(world, call)
    shown: dict[str, Any] = _summary(row)
    if row.message_id:
        shown["Attributes"] = {"MessageId": row.message_id, "FeedbackId": row.feedback_id}
    if row.tenant:
        shown["TenantName"] = row.tenant
    return {"SuppressedDestination": shown}


def delete_suppressed_destination(world: World, call: Call) -> dict[str, Any]:
    row = _found(world, call)
    world.suppressed.remove(row.tenant, row.address)
    return {}


def list_suppressed_destinations(world: World, call: Call) -> dict[str, Any]:
    reasons = call.input.get("Reasons") or ["BOUNCE", "COMPLAINT"]
    start = _moment(call.input.get("StartDate"), 0.0)
    end = _moment(call.input.get("EndDate"), float("inf"))
    rows = [
        row
        for row in world.suppressed.of(_list_name(world, call))
        if row.reason in reasons and start <= row.updated_at <= end
    ]
    answer = page(call, rows, "SuppressedDestinationSummaries", 1000)
    answer["SuppressedDestinationSummaries"] = list(map(_summary, answer["SuppressedDestinationSummaries"]))
    return answer


def _summary(row: Suppressed) -> dict[str, Any]:
    return {"EmailAddress": row.address, "Reason": row.reason, "LastUpdateTime": row.updated_at}


def _moment(value: str | float | None, default: float) -> float:
    if value is None:
        return default
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise bad_request(f"Invalid date {value}.") from None


def put_many(world: World, tenant: str, entries: list[dict[str, Any]]) -> int:
    """Rows as SES itself makes them, of any time ("at", epoch seconds); tenant "" is the account's list."""
    if tenant and tenant not in world.tenants:
        raise ControlError(f"There is no tenant {tenant}; create it through SES first.")
    for entry in entries:
        if not isinstance(entry, dict) or not {"address", "reason"} <= entry.keys():
            raise ControlError('An entry is {"address": "...", "reason": "BOUNCE", "at": seconds}.')
    for entry in entries:
        at = float(entry.get("at") or world.clock.now())
        world.suppressed.put(Suppressed(tenant, str(entry["address"]), str(entry["reason"]), at))
    return len(entries)


OPERATIONS = {
    "PutSuppressedDestination": put_suppressed_destination,
    "GetSuppressedDestination": get_suppressed_destination,
    "DeleteSuppressedDestination": delete_suppressed_destination,
    "ListSuppressedDestinations": list_suppressed_destinations,
}
