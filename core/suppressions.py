"""Suppressions: addresses a tenant must not write to, where each came from, how it may be let go again."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Row, func, select, update
from sqlalchemy.orm import Session

from core import audit, recipients
from core.access import Action, Actor
from core.app import App
from core.db.many import is_among
from core.db.models import Account, Message, Suppression
from core.db.states import SuppressionReason
from core.db.upsert import insert
from core.errors import InputError, NotFound
from core.recipients import Layout, Recipient, Rejection
from core.spreadsheets import csv_row, restored_cell
from core.tenants import get_tenant

BLOCK = 500
IMPORT_BLOCK = 5_000
EXPORTED = ("address", "reason", "source", "note", "created_at", "created_by")

_TOKEN = struct.Struct(">IQ")
_SIGNATURE_BYTES = 15  # with the numbers 27 bytes: 36 characters, no padding


@dataclass(frozen=True, slots=True)
class Provenance:
    """Why an address is suppressed, and what said so. `source`: event, manual, import, unsubscribe."""

    reason: str
    source: str
    created_by: str
    note: str = ""
    campaign_id: int | None = None
    event_id: int | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """Rows by what became of them; `already`: on the list before, or earlier in the file."""

    added: int = 0
    already: int = 0
    rejected: list[Rejection] = field(default_factory=list)


def suppress(
    session: Session, tenant_id: int, addresses: Mapping[str, Provenance], at: datetime
) -> list[str]:
    """Suppress each address (lower case) that is not suppressed yet; returns those. An entry that is there
    stays as it is, but a complaint outranks its reason: such a one only an administrator releases."""
    added: list[str] = []
    rows = [_row(tenant_id, address, addresses[address], at) for address in sorted(addresses)]
    statement = insert(session, Suppression).on_conflict_do_nothing().returning(Suppression.address)
    for block in _blocks(rows, BLOCK):
        added += session.connection().execute(statement, block).scalars()
    new = set(added)
    for row in rows:
        if row["reason"] == SuppressionReason.COMPLAINT and row["address"] not in new:
            _outrank(session, row)
    return added


def suppressed_among(session: Session, tenant_id: int, address_keys: Sequence[str]) -> set[str]:
    """Those of the addresses (lower case) that the tenant must not write to."""
    query = select(Suppression.address).where(
        Suppression.tenant_id == tenant_id,
        Suppression.released_at.is_(None),
        is_among(session, Suppression.address, address_keys),
    )
    return set(session.connection().execute(query).scalars())


def list_suppressions(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    search: str = "",
    reason: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Suppression]:
    """What is suppressed now, newest first; `search`: part of an address, `before_id`: continue below one."""
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    query = select(Suppression).where(*_active(tenant_id)).order_by(Suppression.id.desc()).limit(limit)
    if search.strip():
        query = query.where(Suppression.address.contains(search.strip().lower(), autoescape=True))
    if reason is not None:
        query = query.where(Suppression.reason == reason)
    if before_id is not None:
        query = query.where(Suppression.id < before_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        return list(session.scalars(query))


def count(app: App, actor: Actor, tenant_id: int) -> int:
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        return _count(session, tenant_id)


def add(app: App, actor: Actor, tenant_id: int, address: str, note: str = "") -> Suppression:
    """Suppress by hand. An address that is suppressed already stays as it is."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    key = recipients.valid_address(address.strip()).lower()
    why = Provenance(SuppressionReason.MANUAL, "manual", actor.username, note=note.strip())
    now = app.now()
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        if suppress(session, tenant_id, {key: why}, now):
            audit.record(session, actor, "add suppression", key, at=now, tenant_id=tenant_id, note=why.note)
        return session.scalars(
            select(Suppression).where(*_active(tenant_id), Suppression.address == key)
        ).one()


def release(app: App, actor: Actor, tenant_id: int, address: str, reason: str) -> Suppression:
    """Let the address be written to again, also at SES; the entry stays as history. After a complaint only an
    administrator may. Raises ProviderError when SES does not answer; the address stays suppressed then."""
    actor.must(Action.RELEASE_SUPPRESSION, tenant_id)
    key, reason = address.strip().lower(), reason.strip()
    if not reason:
        raise InputError("Say why the address may be written to again.", "reason")
    with app.db.read() as session:
        _releasable(session, actor, tenant_id, key)
    _release_at_ses(app, tenant_id, key)
    now = app.now()
    with app.db.begin() as session:
        entry = _releasable(session, actor, tenant_id, key)
        entry.released_at, entry.released_by, entry.release_reason = now, actor.username, reason
        audit.record(
            session, actor, "release suppression", key, at=now, tenant_id=tenant_id,
            suppressed_for=entry.reason, reason=reason,
        )  # fmt: skip
        return entry


def _releasable(session: Session, actor: Actor, tenant_id: int, key: str) -> Suppression:
    get_tenant(session, tenant_id)
    query = select(Suppression).where(*_active(tenant_id), Suppression.address == key).with_for_update()
    entry = session.scalars(query).one_or_none()
    if entry is None:
        raise NotFound(f"{key} is not on the suppression list.")
    if entry.reason == SuppressionReason.COMPLAINT:
        actor.must(Action.RELEASE_COMPLAINT, tenant_id)
    return entry


def _release_at_ses(app: App, tenant_id: int, key: str) -> None:
    """SES keeps an address in the case it was written to in, and wants it in exactly that case."""
    written = select(Message.address).where(Message.tenant_id == tenant_id, Message.address_key == key)
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        region = session.scalars(select(Account.region).where(Account.id == tenant.account_id)).one()
        spellings = {key, *session.scalars(written.distinct())}
    if tenant.provisioned_at is None:  # SES does not know the tenant yet
        return
    for address in sorted(spellings):
        app.providers.email(region).release_suppressed(tenant.slug, address)


def import_csv(
    app: App,
    actor: Actor,
    tenant_id: int,
    content: bytes,
    filename: str,
    mapping: Mapping[str, str] | None = None,
) -> Imported:
    """Suppress every address of a CSV, with optional columns reason and note; an export is read back as it
    was. Raises InputError when the file cannot be read; then nothing is stored."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    layout = recipients.inspect(content, filename)
    rejected: list[Rejection] = []
    rows = _accepted(
        recipients.read(content, layout, _address_column(layout) | dict(mapping or {})), rejected
    )
    accepted = added = 0
    while block := list(islice(rows, IMPORT_BLOCK)):
        with app.db.begin() as session:
            get_tenant(session, tenant_id)
            accepted += len(block)
            added += len(suppress(session, tenant_id, _imported(actor, block), app.now()))
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


def export_csv(app: App, actor: Actor, tenant_id: int) -> Iterator[str]:
    """The list as CSV, line by line, in flat memory, formula-safe; what `import_csv` reads. Who took it and
    how many entries it had is in the audit log before the first line leaves."""
    actor.must(Action.EXPORT_SUPPRESSIONS, tenant_id)
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        audit.record(
            session, actor, "export suppressions", "suppression list", at=app.now(), tenant_id=tenant_id,
            entries=_count(session, tenant_id),
        )  # fmt: skip
    return _exported(app, tenant_id)


def unsubscribe_token(key: bytes, tenant_id: int, message_id: int) -> str:
    """36 characters fit for an address: which message, signed. `key`: app.secret_key()."""
    numbers = _TOKEN.pack(tenant_id, message_id)
    signature = hmac.digest(key, b"unsubscribe" + numbers, "sha256")[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(numbers + signature).decode()


def address_of(app: App, token: str) -> str:
    """Whom the token's message was sent to; changes nothing. Raises NotFound as `unsubscribe` does."""
    with app.db.read() as session:
        return str(_message_of(session, app.secret_key(), token).address)


def unsubscribe(app: App, token: str) -> None:
    """The recipient of the token's message wants no more mail of its tenant; twice is the same as once.
    Raises NotFound for a token that Postyard did not make."""
    key = app.secret_key()
    with app.db.begin() as session:
        message = _message_of(session, key, token)
        why = Provenance(
            SuppressionReason.UNSUBSCRIBE, "unsubscribe", "recipient", campaign_id=message.campaign_id
        )
        suppress(session, message.tenant_id, {message.address_key: why}, app.now())


def _message_of(session: Session, key: bytes, token: str) -> Row[int, int | None, str, str]:
    tenant_id, message_id = _read_token(key, token)
    query = select(Message.tenant_id, Message.campaign_id, Message.address, Message.address_key).where(
        Message.id == message_id, Message.tenant_id == tenant_id
    )
    if message := session.execute(query).one_or_none():
        return message
    raise _no_such_link()


def _read_token(key: bytes, token: str) -> tuple[int, int]:
    try:
        tenant_id, message_id = _TOKEN.unpack(base64.urlsafe_b64decode(token)[: _TOKEN.size])
    except (binascii.Error, struct.error, ValueError) as e:
        raise _no_such_link() from e
    expected = unsubscribe_token(key, tenant_id, message_id)
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise _no_such_link()
    return tenant_id, message_id


def _no_such_link() -> NotFound:
    return NotFound("This unsubscribe link is not valid. Use the link in the mail as it is.")


def _row(tenant_id: int, address: str, why: Provenance, at: datetime) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "address": address.lower(),
        "reason": why.reason,
        "source": why.source,
        "note": why.note,
        "campaign_id": why.campaign_id,
        "event_id": why.event_id,
        "created_by": why.created_by,
        "created_at": at,
    }


def _outrank(session: Session, complaint: dict[str, Any]) -> None:
    changed = {name: complaint[name] for name in ("reason", "source", "note", "campaign_id", "event_id")}
    session.execute(
        update(Suppression)
        .where(
            *_active(complaint["tenant_id"]),
            Suppression.address == complaint["address"],
            Suppression.reason != SuppressionReason.COMPLAINT,
        )
        .values(changed)
    )


def _active(tenant_id: int) -> tuple[Any, Any]:
    return Suppression.tenant_id == tenant_id, Suppression.released_at.is_(None)


def _count(session: Session, tenant_id: int) -> int:
    return session.scalar(select(func.count()).select_from(Suppression).where(*_active(tenant_id))) or 0


def _blocks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for first in range(0, len(items), size):
        yield items[first : first + size]


def _address_column(layout: Layout) -> dict[str, str]:
    """An export names its column `address`, which in a list of people would be where they live."""
    if "email" in layout.mapping or "address" not in layout.headers:
        return {}
    return {"email": "address"}


def _accepted(rows: Iterator[Recipient | Rejection], rejected: list[Rejection]) -> Iterator[Recipient]:
    for row in rows:
        if isinstance(row, Rejection):
            rejected.append(row)
        else:
            yield row


def _imported(actor: Actor, block: list[Recipient]) -> dict[str, Provenance]:
    wanted: dict[str, Provenance] = {}
    for row in block:
        why = _provenance(actor, row.fields)
        if row.address_key not in wanted or why.reason == SuppressionReason.COMPLAINT:
            wanted[row.address_key] = why
    return wanted


def _provenance(actor: Actor, fields: Mapping[str, str]) -> Provenance:
    """A reason of another system's never keeps an address off the list: it becomes the note."""
    given = restored_cell(fields.get("reason", ""))
    note = restored_cell(fields.get("note", ""))
    if given.upper() in SuppressionReason.__members__:
        return Provenance(SuppressionReason(given.upper()), "import", actor.username, note=note)
    notes = "; ".join(part for part in (given, note) if part)
    return Provenance(SuppressionReason.MANUAL, "import", actor.username, note=notes)


def _exported(app: App, tenant_id: int) -> Iterator[str]:
    yield csv_row(EXPORTED)
    after = ""
    while True:
        query = select(*(getattr(Suppression, name) for name in EXPORTED)).where(*_active(tenant_id))
        query = query.where(Suppression.address > after).order_by(Suppression.address).limit(IMPORT_BLOCK)
        with app.db.read() as session:
            rows = session.execute(query).all()
        for row in rows:
            yield csv_row(value.isoformat() if isinstance(value, datetime) else value for value in row)
        if len(rows) < IMPORT_BLOCK:
            return
        after = rows[-1].address
