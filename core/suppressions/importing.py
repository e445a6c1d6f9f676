"""Importing: a CSV of addresses, looked through before anything is stored, then added in blocks.

An export of ours comes back as it was: addresses, @domains, reasons, notes and dates. Who made the entries
and by what they came is the import's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from core import audit, recipients
from core.access import Action, Actor
from core.app import App
from core.db.states import SuppressionReason
from core.errors import InputError
from core.recipients import Layout, Recipient, Rejection
from core.spreadsheets import restored_cell
from core.suppressions.domains import entry_of, is_domain, is_whole_provider, refuse_whole_provider
from core.suppressions.entries import Provenance, rank, reasons_of, suppress
from core.tenants import get_tenant

IMPORT_BLOCK = 5_000
FIELDS = ("reason", "note", "created_at")  # that a file may have beside the address
FIRST_YEAR = 1990


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows by what became of them; `already`: on the list before, or earlier in the file."""

    added: int = 0
    already: int = 0
    rejected: list[Rejection] = field(default_factory=list)


@dataclass(slots=True)
class Preflight:
    """What `import_csv` would do; nothing is stored. `outranked`: entries there that get the file's reason.
    `providers`: entries for a whole mailbox provider, which are rejected unless they are agreed to."""

    layout: Layout
    new: int = 0
    already: int = 0
    outranked: int = 0
    domains: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    providers: set[str] = field(default_factory=set)
    rejected: list[Rejection] = field(default_factory=list)


def inspect_import(content: bytes, filename: str) -> Layout:
    """How the file is read and what its columns are taken for. Raises InputError."""
    layout = recipients.inspect(content, filename)
    known = {name: header for name in FIELDS for header in layout.headers if _plain(header) == name}
    return Layout(
        layout.encoding,
        layout.delimiter,
        layout.headers,
        {**_address_column(layout), **known},
        layout.sample_rows,
    )


def check_import(
    app: App,
    actor: Actor,
    tenant_id: int,
    content: bytes,
    filename: str,
    mapping: Mapping[str, str] | None = None,
    *,
    whole_providers: bool = False,
) -> Preflight:
    """Look through every row as `import_csv` takes it. Raises InputError when the file cannot be read."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
    layout = inspect_import(content, filename)
    found, seen = Preflight(layout), set[int]()
    for block in _blocks(_rows(content, layout, mapping, found.rejected, found.providers, whole_providers)):
        wanted = _imported(actor, [row for row in block if hash(row.address_key) not in seen], app.now())
        seen |= {hash(key) for key in wanted}
        with app.db.read() as session:
            there = reasons_of(session, tenant_id, list(wanted))
        added = {key: why for key, why in wanted.items() if key not in there}
        found.new += len(added)
        found.already += len(block) - len(added)
        found.outranked += sum(rank(wanted[key].reason) > rank(there[key]) for key in there)
        found.domains += sum(map(is_domain, added))
        found.reasons.update(why.reason for why in added.values())
    return found


def import_csv(
    app: App,
    actor: Actor,
    tenant_id: int,
    content: bytes,
    filename: str,
    mapping: Mapping[str, str] | None = None,
    *,
    whole_providers: bool = False,
) -> Imported:
    """Suppress every address and @domain of a CSV, with optional columns reason, note and created_at. Raises
    InputError when the file cannot be read; then nothing is stored."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    layout = inspect_import(content, filename)
    rejected: list[Rejection] = []
    accepted = added = 0
    for block in _blocks(_rows(content, layout, mapping, rejected, set(), whole_providers)):
        now = app.now()
        with app.db.begin() as session:
            get_tenant(session, tenant_id)
            accepted += len(block)
            added += len(suppress(session, tenant_id, _imported(actor, block, now), now))
    if rejected and not accepted:
        first = rejected[0]
        raise InputError(
            f"No row of the list can be used, so nothing is added. Line {first.line}: {first.reason}"
        )
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        audit.record(
            session, actor, "import suppressions", "suppression list", at=app.now(), tenant_id=tenant_id,
            added=added, already=accepted - added, rejected=len(rejected),
        )  # fmt: skip
    return Imported(added, accepted - added, rejected)


def _address_column(layout: Layout) -> dict[str, str]:
    """An export names its column `address`, which in a list of people would be where they live."""
    if "email" in layout.mapping:
        return {"email": layout.mapping["email"]}
    return {"email": "address"} if "address" in layout.headers else {}


def _plain(header: str) -> str:
    return "_".join(header.lower().replace("_", " ").split())


def _rows(
    content: bytes,
    layout: Layout,
    mapping: Mapping[str, str] | None,
    rejected: list[Rejection],
    providers: set[str],
    whole_providers: bool,
) -> Iterator[Recipient]:
    """The rows that can be used; the others go to `rejected`, each with its line and reason."""

    def valid(text: str) -> str:
        entry = entry_of(text)
        if is_whole_provider(entry):
            providers.add(entry)
            if not whole_providers:
                refuse_whole_provider(entry)
        return entry

    for row in recipients.read(content, layout, mapping, valid=valid):
        if isinstance(row, Rejection):
            rejected.append(row)
        else:
            yield row


def _blocks(rows: Iterator[Recipient]) -> Iterator[list[Recipient]]:
    while block := list(islice(rows, IMPORT_BLOCK)):
        yield block


def _imported(actor: Actor, block: list[Recipient], now: datetime) -> dict[str, Provenance]:
    found: dict[str, Provenance] = {}
    for row in block:
        why = _provenance(actor, row.fields, now)
        before = found.get(row.address_key)
        if before is None or rank(why.reason) > rank(before.reason):
            found[row.address_key] = why
    return found


def _provenance(actor: Actor, fields: Mapping[str, str], now: datetime) -> Provenance:
    """A reason of another system's never keeps an address off the list: it becomes the note."""
    given, note, since = (restored_cell(fields.get(name, "")) for name in FIELDS)
    reason = given.strip().upper()
    if reason not in SuppressionReason.__members__:
        reason, note = SuppressionReason.MANUAL, "; ".join(part for part in (given, note) if part)
    return Provenance(reason, "import", actor.username, note=note, since=_moment(since, now))


def _moment(text: str, now: datetime) -> datetime | None:
    """None where no date of the past stands there; without a zone it is taken for UTC."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment if moment.year >= FIRST_YEAR and moment <= now else None
