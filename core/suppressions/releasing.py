"""Releasing: letting an address be written to again, here and at SES."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.models import Account, Message, Suppression
from core.db.states import SuppressionReason
from core.errors import InputError, NotFound, PostyardError, ProviderError
from core.suppressions.domains import domain_entry_of, is_domain, known_as
from core.suppressions.entries import active
from core.tenants import get_tenant

MOST_AT_ONCE = 100  # each is a call to SES, which answers about one a second
SILENT_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Released:
    """`kept` says for each address that stays suppressed why."""

    released: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


def release(
    app: App, actor: Actor, tenant_id: int, address: str, reason: str, *, recipient_asked: bool = False
) -> Suppression:
    """Let the address (or "@example.com", whose addresses' own entries stay) be written to again, also at
    SES; the entry stays as history. After a complaint only an administrator may, after an unsubscription only
    with `recipient_asked`. ProviderError when SES does not answer: the address stays suppressed then."""
    actor.must(Action.RELEASE_SUPPRESSION, tenant_id)
    key, reason = known_as(address), _said(reason)
    with app.db.read() as session:
        _releasable(session, actor, tenant_id, key, recipient_asked=recipient_asked)
    if not is_domain(key):  # SES knows none
        _release_at_ses(app, tenant_id, key)
    now = app.now()
    with app.db.begin() as session:
        entry = _releasable(session, actor, tenant_id, key, recipient_asked=recipient_asked)
        entry.released_at, entry.released_by, entry.release_reason = now, actor.username, reason
        wish = {"recipient_asked": True} if entry.reason == SuppressionReason.UNSUBSCRIBE else {}
        audit.record(
            session, actor, "release suppression", key, at=now, tenant_id=tenant_id,
            suppressed_for=entry.reason, reason=reason, **wish,
        )  # fmt: skip
        return entry


def release_several(
    app: App,
    actor: Actor,
    tenant_id: int,
    addresses: Sequence[str],
    reason: str,
    *,
    recipient_asked: bool = False,
) -> Released:
    """`release` for each of them, in turn: one that cannot be released keeps none of the others."""
    actor.must(Action.RELEASE_SUPPRESSION, tenant_id)
    reason, keys = _said(reason), list(dict.fromkeys(map(known_as, addresses)))
    if len(keys) > MOST_AT_ONCE:
        raise InputError(f"Release at most {MOST_AT_ONCE} addresses at once: SES is asked about each.")
    with app.db.read() as session:
        get_tenant(session, tenant_id)
    done, silent = Released(), 0
    for key in keys:
        if silent == SILENT_IN_A_ROW:
            done.kept[key] = "SES does not answer just now. Try again later."
            continue
        try:
            release(app, actor, tenant_id, key, reason, recipient_asked=recipient_asked)
        except PostyardError as e:
            done.kept[key] = str(e)
            silent = silent + 1 if isinstance(e, ProviderError) and not e.permanent else 0
        else:
            done.released.append(key)
            silent = 0
    return done


def _said(reason: str) -> str:
    reason = reason.strip()
    if not reason:
        raise InputError("Say why the address may be written to again.", "reason")
    return reason


def _releasable(
    session: Session, actor: Actor, tenant_id: int, key: str, *, recipient_asked: bool
) -> Suppression:
    get_tenant(session, tenant_id)
    query = select(Suppression).where(
        *active(tenant_id), Suppression.address.in_([key, domain_entry_of(key)])
    )
    found = {entry.address: entry for entry in session.scalars(query.with_for_update())}
    entry = found.get(key)
    if entry is None and found:
        raise NotFound(f"{key} has no entry of its own: {domain_entry_of(key)} is on the suppression list.")
    if entry is None:
        raise NotFound(f"{key} is not on the suppression list.")
    if entry.reason == SuppressionReason.COMPLAINT:
        actor.must(Action.RELEASE_COMPLAINT, tenant_id)
    if entry.reason == SuppressionReason.UNSUBSCRIBE and not recipient_asked:
        raise InputError(
            f"{key} unsubscribed. Release it only when the recipient asks for the mail again, and confirm "
            "that they did (on the command line: --recipient-asked).",
            "recipient_asked",
        )
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
