"""Adding: entries that people make by hand, one or several at once."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, field

from sqlalchemy import select

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.models import Suppression
from core.db.states import SuppressionReason
from core.errors import InputError
from core.recipients import Rejection
from core.suppressions.domains import entry_of, is_whole_provider, refuse_whole_provider
from core.suppressions.entries import Provenance, active, suppress
from core.tenants import get_tenant

MOST_AT_ONCE = 1_000
_BETWEEN = re.compile(r"[\s,;]+")


@dataclass(frozen=True, slots=True)
class Added:
    """What became of each of several: `already` were on the list; `rejected` names line and reason."""

    added: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    rejected: list[Rejection] = field(default_factory=list)


def add(
    app: App, actor: Actor, tenant_id: int, address: str, note: str = "", *, whole_provider: bool = False
) -> Suppression:
    """Suppress by hand an address, or with "@example.com" everybody at that domain; at a big mailbox provider
    only with `whole_provider`. What is suppressed already stays as it is."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    key = entry_of(address)
    if not whole_provider:
        refuse_whole_provider(key)
    why = Provenance(SuppressionReason.MANUAL, "manual", actor.username, note=note)
    now = app.now()
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        if suppress(session, tenant_id, {key: why}, now):
            audit.record(
                session, actor, "add suppression", key, at=now, tenant_id=tenant_id, note=note.strip()
            )
        return session.scalars(
            select(Suppression).where(*active(tenant_id), Suppression.address == key)
        ).one()


def add_several(
    app: App, actor: Actor, tenant_id: int, text: str, note: str = "", *, whole_provider: bool = False
) -> Added:
    """Suppress every address and @domain in the text; between them are line ends, commas, semicolons or
    spaces. The good ones are added, the others told; nothing is stored when none is good."""
    actor.must(Action.ADD_SUPPRESSION, tenant_id)
    entries, rejected = _read(text, whole_provider=whole_provider)
    if not entries:
        raise InputError(_first_fault(rejected), "address")
    why = Provenance(SuppressionReason.MANUAL, "manual", actor.username, note=note)
    now = app.now()
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        added = suppress(session, tenant_id, dict.fromkeys(entries, why), now)
        if added:
            subject = added[0] if len(added) == 1 else "suppression list"
            audit.record(
                session, actor, "add suppression", subject, at=now, tenant_id=tenant_id,
                note=note.strip(), added=len(added),
            )  # fmt: skip
    return Added(sorted(added), sorted(set(entries) - set(added)), rejected)


def whole_providers_in(text: str) -> list[str]:
    """The entries of the text for a whole mailbox provider: what to ask about before `add_several`."""
    found: list[str] = []
    for _, value in _values(text)[:MOST_AT_ONCE]:
        with contextlib.suppress(InputError):
            found.append(entry_of(value))
    return sorted({entry for entry in found if is_whole_provider(entry)})


def _read(text: str, *, whole_provider: bool) -> tuple[list[str], list[Rejection]]:
    values = _values(text)
    if len(values) > MOST_AT_ONCE:
        raise InputError(
            f"These are more than {MOST_AT_ONCE:,} addresses: import them as a CSV file.", "address"
        )
    entries: list[str] = []
    rejected: list[Rejection] = []
    for line, value in values:
        try:
            entry = entry_of(value)
            if not whole_provider:
                refuse_whole_provider(entry)
        except InputError as e:
            rejected.append(Rejection(line, value, str(e)))
        else:
            entries.append(entry)
    return list(dict.fromkeys(entries)), rejected


def _values(text: str) -> list[tuple[int, str]]:
    return [
        (number, value)
        for number, line in enumerate(text.splitlines(), 1)
        for value in _BETWEEN.split(line)
        if value
    ]


def _first_fault(rejected: list[Rejection]) -> str:
    if not rejected:
        return "Type at least one address, or a domain such as @example.com."
    return f"None of these can be added. {rejected[0].value}: {rejected[0].reason}"
