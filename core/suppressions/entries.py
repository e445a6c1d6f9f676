"""Entries: an address or a whole domain that a tenant must not write to, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import (
    Select,
    String,
    Text,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    select,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session, aliased

from core.db.many import is_among
from core.db.models import Suppression
from core.db.states import SuppressionReason
from core.db.upsert import insert
from core.suppressions.domains import domain_entry_of, is_domain

BLOCK = 500
MAX_NOTE = 1_000
RANKED = (SuppressionReason.UNSUBSCRIBE, SuppressionReason.COMPLAINT)  # each above all before it
_BLANK = " \t\r\n\u00a0\ufeff"  # what reading a CSV takes off a cell, and line ends


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why an address is suppressed, and what said so. `source`: event, manual, import, unsubscribe, ses.
    `since`: when that was; None: now."""

    reason: str
    source: str
    created_by: str
    note: str = ""
    campaign_id: int | None = None
    event_id: int | None = None
    since: datetime | None = None


def suppress(
    session: Session, tenant_id: int, addresses: Mapping[str, Provenance], at: datetime
) -> list[str]:
    """Suppress each address (lower case; "@example.com": everybody there) that is not suppressed yet; returns
    those. An entry that is there stays as it is, but a complaint outranks every reason and an unsubscription
    all others: such a one only an administrator releases, or the recipient's wish."""
    added: list[str] = []
    rows = [_row(tenant_id, address, addresses[address], at) for address in sorted(addresses)]
    statement = insert(session, Suppression).on_conflict_do_nothing().returning(Suppression.address)
    for block in blocks(rows, BLOCK):
        added += session.connection().execute(statement, block).scalars()
    new = set(added)
    _outrank(session, tenant_id, [row for row in rows if row["address"] not in new])
    return added


def rank(reason: str) -> int:
    return RANKED.index(reason) + 1 if reason in RANKED else 0


def suppressed_among(session: Session, tenant_id: int, address_keys: Sequence[str]) -> dict[str, str]:
    """Those of the addresses (lower case) that the tenant must not write to, each with the entry that says
    so: its own, or its domain's."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    asked, query = (_json(address_keys), _ON_SQLITE) if on_sqlite else (_lines(address_keys), _ON_POSTGRESQL)
    rows = session.connection().execute(query, {"of_tenant": tenant_id, "asked": asked}).scalars()
    found = {entry: entry for entry in rows}
    if not any(map(is_domain, found)):
        return found
    by_domain = {key: found.get(domain_entry_of(key)) for key in address_keys}
    covered = {key: entry for key, entry in by_domain.items() if entry is not None}
    return covered | {entry: entry for entry in found if not is_domain(entry)}


def reasons_of(session: Session, tenant_id: int, entries: Sequence[str]) -> dict[str, str]:
    """Those of the entries (lower case) that are on the list, each with its reason."""
    query = select(Suppression.address, Suppression.reason).where(
        *active(tenant_id), is_among(session, Suppression.address, entries)
    )
    return {entry.address: entry.reason for entry in session.execute(query)}


def told(entry: str) -> str:
    """What a message says that was not sent because of this entry."""
    if is_domain(entry):
        return f"Everybody at {entry[1:]} is on the suppression list."
    return "The address is on the suppression list."


def active(tenant_id: int) -> tuple[Any, Any]:
    return Suppression.tenant_id == tenant_id, Suppression.released_at.is_(None)


def blocks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _row(tenant_id: int, address: str, why: Provenance, at: datetime) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "address": address.lower(),
        "reason": why.reason,
        "source": why.source,
        "note": _storable(why.note),
        "campaign_id": why.campaign_id,
        "event_id": why.event_id,
        "created_by": why.created_by,
        "created_at": why.since or at,
    }


def _storable(note: str) -> str:
    """As an export keeps it when it is read again; PostgreSQL takes no NUL."""
    return note.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:MAX_NOTE].strip(_BLANK)


def _outrank(session: Session, tenant_id: int, there: Sequence[Mapping[str, Any]]) -> None:
    """Most often nothing is to do: so they are looked up by the block. In one order, as all lock them."""
    changed = ("reason", "source", "note", "campaign_id", "event_id")
    rank_there = case({reason: rank(reason) for reason in RANKED}, value=Suppression.reason, else_=0)
    statement = (
        update(Suppression)
        .where(*active(tenant_id), Suppression.address == bindparam("of_address"))
        .where(rank_there < bindparam("of_rank"))
        .values({name: bindparam(f"to_{name}") for name in changed})
    )
    ranked = {row["address"]: row for row in there if rank(row["reason"])}
    for block in blocks(sorted(ranked), BLOCK):
        reasons = reasons_of(session, tenant_id, block)
        rows = [
            {"of_address": key, "of_rank": rank(ranked[key]["reason"])}
            | {f"to_{name}": ranked[key][name] for name in changed}
            for key in sorted(reasons)
            if rank(reasons[key]) < rank(ranked[key]["reason"])
        ]
        if rows:
            session.connection().execute(statement, rows)


# Asked for every block that is sent: the addresses travel as one parameter, which costs a driver much less
# than hundreds. SQLite looks for their domains only where the tenant has an entry for any; on PostgreSQL,
# where the order of signs is the locale's, each domain of a block is looked for once.
_S = Suppression.__table__.c
_OF_TENANT = (_S.tenant_id == bindparam("of_tenant"), _S.released_at.is_(None))


def _json(address_keys: Sequence[str]) -> str:
    return orjson.dumps(list(address_keys)).decode()


def _lines(address_keys: Sequence[str]) -> str:
    """No address has a line end in it."""
    domains = {key.rpartition("@")[2] for key in address_keys}
    return "\n".join([*address_keys, *(f"@{domain}" for domain in domains)])


def _on_sqlite() -> Select[str]:
    value = func.json_each(bindparam("asked", type_=String)).table_valued("value", name="each").c.value
    entry = aliased(Suppression)
    has_domains = exists().where(
        entry.tenant_id == bindparam("of_tenant"),
        entry.released_at.is_(None),
        entry.address >= "@",
        entry.address < "A",
    )
    domains = select(func.substr(value, func.instr(value, "@"))).where(has_domains)
    return select(_S.address).where(*_OF_TENANT, _S.address.in_(union_all(select(value), domains)))


def _on_postgresql() -> Select[str]:
    asked = func.string_to_array(cast(bindparam("asked"), Text), "\n", type_=ARRAY(String))
    return select(_S.address).where(*_OF_TENANT, _S.address == any_(asked))


_ON_SQLITE, _ON_POSTGRESQL = _on_sqlite(), _on_postgresql()
