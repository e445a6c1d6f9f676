"""Ledger: where our lists and SES's differ, for people, and putting that right.

Missing here: the address goes on our list, as SES's says, unless somebody let it go here after SES had
listed it; then SES lets it go as well. Missing at SES: SES gets it. On the account's list: only an
administrator takes it off, since other applications may use the account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.many import is_among
from core.db.models import (
    Account,
    Message,
    Suppression,
    SuppressionComparison,
    SuppressionDifference,
    Tenant,
)
from core.errors import Conflict, InputError, NotFound, PostyardError, ProviderError, TooSoon
from core.suppressions.comparing import compare
from core.suppressions.differences import (
    Kind,
    SesList,
    count_open,
    of_tenant,
    open_of,
    resolve,
    tell,
    tenants_on_account_list,
)
from core.suppressions.entries import Provenance, active, suppress
from core.tenants import get_tenant

COOLDOWN = timedelta(minutes=1)
PAGES_NOW = 30  # half a minute of SES's control calls; the job does the rest
MOST_CALLS = 60  # of one "repair all": a minute
BLOCK = 500
SILENT_IN_A_ROW = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """How a list compares. `compared_at` None: it never was; `error`: what SES said instead of its list;
    `is_asked` False: SES asks the account's list for this tenant's mail."""

    compared_at: datetime | None
    is_under_way: bool
    pages: int
    listed: int
    error: str | None
    is_asked: bool
    differences: dict[str, int]


@dataclass(frozen=True, slots=True)
class AccountDifference:
    """An address on the account's list, with the names of the tenants that have written to it, and of those
    whose mail to anybody there stays back, because they have no list of their own."""

    difference: SuppressionDifference
    written_by: list[str]
    kept_back: list[str]


@dataclass(frozen=True, slots=True)
class Repaired:
    """`kept` says for each address that was not repaired why; `left`: how many differ still."""

    repaired: int = 0
    kept: dict[str, str] = field(default_factory=dict)
    left: int = 0


def list_differences(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    kind: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[SuppressionDifference]:
    """Between our list and SES's list of the tenant, newest first."""
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        ses_list = of_tenant(session, get_tenant(session, tenant_id))
        return _open(session, ses_list, kind, before_id, limit)


def list_account_differences(
    app: App, actor: Actor, account_id: int, *, before_id: int | None = None, limit: int = 100
) -> list[AccountDifference]:
    """What stands on SES's list of the whole account, newest first."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        rows = _open(session, _of_account(session, account_id), None, before_id, limit)
        kept_back = tenants_on_account_list(session, account_id)
        writers = _writers(session, account_id, [row.address.lower() for row in rows])
    return [AccountDifference(row, writers[row.address.lower()], kept_back) for row in rows]


def standing(app: App, actor: Actor, tenant_id: int) -> Standing:
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        return _standing(session, of_tenant(session, tenant), tenant.suppressions_compared_at)


def account_standing(app: App, actor: Actor, account_id: int) -> Standing:
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        ses_list = _of_account(session, account_id)
        return _standing(session, ses_list, session.get_one(Account, account_id).suppressions_compared_at)


def compare_now(app: App, actor: Actor, tenant_id: int) -> Standing:
    """Compare the tenant's list, and the account's, with SES's: as much as half a minute allows, and the job
    goes on. TooSoon within COOLDOWN of the last time; raises ProviderError."""
    actor.must(Action.REPAIR_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        ses_list = of_tenant(session, tenant)
        if tenant.provisioned_at is None:
            raise Conflict(f"SES does not know {tenant.name} yet. Repair its setup first.")
        _refuse_too_soon(tenant.suppressions_compared_at, app.now())
        account = session.get_one(Account, tenant.account_id)
    pages, _ = compare(app, ses_list, PAGES_NOW)
    if not _is_fresh(account.suppressions_compared_at, app.now()) and pages < PAGES_NOW:
        compare(app, SesList(account.id, account.region), PAGES_NOW - pages)
    return standing(app, actor, tenant_id)


def repair(app: App, actor: Actor, tenant_id: int, difference_id: int) -> str:
    """Put one difference right; returns what was done. Raises NotFound when it is none any more."""
    actor.must(Action.REPAIR_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        ses_list = of_tenant(session, get_tenant(session, tenant_id))
        difference = _get_open(session, ses_list, difference_id)
    return _repair(app, actor, ses_list, difference)


def repair_all(app: App, actor: Actor, tenant_id: int, *, kind: str | None = None) -> Repaired:
    """Put all right that needs no call to SES, and as much of the rest as a minute allows."""
    actor.must(Action.REPAIR_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        ses_list = of_tenant(session, get_tenant(session, tenant_id))
    kept: dict[str, str] = {}
    repaired = 0
    if kind in (None, Kind.MISSING_HERE):
        repaired += _add_all(app, actor, ses_list)
    with app.db.read() as session:
        rest = _open(session, ses_list, kind, None, MOST_CALLS)
    silent = 0
    for difference in rest:
        try:
            _repair(app, actor, ses_list, difference)
            repaired, silent = repaired + 1, 0
        except PostyardError as e:
            kept[difference.address] = str(e)
            silent = silent + 1 if isinstance(e, ProviderError) and not e.permanent else 0
        if silent == SILENT_IN_A_ROW:
            break
    with app.db.read() as session:
        left = sum(number for of, number in count_open(session, ses_list).items() if kind in (None, of))
    return Repaired(repaired, kept, left)


def release_at_account(app: App, actor: Actor, account_id: int, difference_id: int, reason: str) -> str:
    """Take an address off SES's list of the whole account; returns it. Raises ProviderError, NotFound."""
    actor.must(Action.RELEASE_AT_ACCOUNT)
    reason = reason.strip()
    if not reason:
        raise InputError("Say why the account may write to the address again.", "reason")
    with app.db.read() as session:
        ses_list = _of_account(session, account_id)
        address = _get_open(session, ses_list, difference_id).address
    app.providers.email(ses_list.region).release_suppressed(None, address)
    now = app.now()
    with app.db.begin() as session:
        difference = _get_open(session, ses_list, difference_id)
        resolve(session, difference, actor.username, f"Taken off the account's list: {reason}", now)
        session.flush()
        tell(session, ses_list, now)
        audit.record(session, actor, "release from account list", address, at=now, reason=reason)
    return address


def _repair(app: App, actor: Actor, ses_list: SesList, difference: SuppressionDifference) -> str:
    if difference.kind == Kind.MISSING_AT_SES:
        return _put_at_ses(app, actor, ses_list, difference)
    with app.db.read() as session:
        was_let_go = _let_go_since(session, [difference])
    if was_let_go:
        app.providers.email(ses_list.region).release_suppressed(ses_list.tenant_name, difference.address)
        return _keep(app, actor, ses_list, difference, "Taken off SES's list: it was released here.")
    with app.db.begin() as session:
        found = _get_open(session, ses_list, difference.id)
        if _let_go_since(session, [found]):
            raise Conflict(f"Somebody released {found.address} just now. Look again.")
        suppress(session, ses_list.tenant_id, {found.address.lower(): _as_listed(actor, found)}, app.now())
    return _keep(app, actor, ses_list, difference, "Added here.")


def _put_at_ses(app: App, actor: Actor, ses_list: SesList, difference: SuppressionDifference) -> str:
    email = app.providers.email(ses_list.region)
    email.put_suppressed(ses_list.tenant_name, difference.address, difference.reason)
    with app.db.read() as session:
        is_wanted = session.scalar(
            select(Suppression.id).where(
                *active(ses_list.tenant_id), Suppression.address == difference.address
            )
        )
    if is_wanted is None:  # somebody let it go while SES was told
        email.release_suppressed(ses_list.tenant_name, difference.address)
        return _keep(app, actor, ses_list, difference, "Nothing to do: it was released meanwhile.")
    return _keep(app, actor, ses_list, difference, "Put on SES's list.")


def _keep(app: App, actor: Actor, ses_list: SesList, difference: SuppressionDifference, done: str) -> str:
    now = app.now()
    with app.db.begin() as session:
        found = _get_open(session, ses_list, difference.id)
        resolve(session, found, actor.username, done, now)
        session.flush()
        tell(session, ses_list, now)
        audit.record(
            session, actor, "repair suppression difference", found.address, at=now,
            tenant_id=ses_list.tenant_id, kind=found.kind, done=done,
        )  # fmt: skip
    return done


def _add_all(app: App, actor: Actor, ses_list: SesList) -> int:
    """All that are missing here and were not released here after SES had listed them."""
    added = 0
    before: int | None = None
    while True:
        now = app.now()
        with app.db.begin() as session:
            rows = _open(session, ses_list, Kind.MISSING_HERE, before, BLOCK)
            let_go = _let_go_since(session, rows)
            here = [row for row in rows if row.id not in let_go]
            wanted = {row.address.lower(): _as_listed(actor, row) for row in here}
            suppress(session, ses_list.tenant_id, wanted, now)
            for row in here:
                resolve(session, row, actor.username, "Added here.", now)
            added += len(here)
        if len(rows) < BLOCK:
            break
        before = rows[-1].id
    if added:
        with app.db.begin() as session:
            tell(session, ses_list, app.now())
            audit.record(
                session, actor, "repair suppression differences", "suppression list", at=app.now(),
                tenant_id=ses_list.tenant_id, kind=Kind.MISSING_HERE, added=added,
            )  # fmt: skip
    return added


def _as_listed(actor: Actor, difference: SuppressionDifference) -> Provenance:
    return Provenance(
        difference.reason,
        "ses",
        actor.username,
        note="on SES's list of this tenant",
        since=difference.listed_at,
    )


def _let_go_since(session: Session, rows: Sequence[SuppressionDifference]) -> set[int]:
    """Ids of those that somebody released here after SES had listed them: SES's list is wrong then."""
    query = (
        select(Suppression.address, func.max(Suppression.released_at))
        .where(
            Suppression.tenant_id.in_({row.tenant_id for row in rows}),
            is_among(session, Suppression.address, [row.address.lower() for row in rows]),
            Suppression.released_at.is_not(None),
        )
        .group_by(Suppression.address)
    )
    released = {address: at for address, at in session.execute(query) if at is not None}
    return {
        row.id
        for row in rows
        if (at := released.get(row.address.lower())) and at > (row.listed_at or row.found_at)
    }


def _open(
    session: Session, ses_list: SesList, kind: str | None, before_id: int | None, limit: int
) -> list[SuppressionDifference]:
    query = select(SuppressionDifference).where(*open_of(ses_list))
    if kind is not None:
        query = query.where(SuppressionDifference.kind == kind)
    if before_id is not None:
        query = query.where(SuppressionDifference.id < before_id)
    return list(session.scalars(query.order_by(SuppressionDifference.id.desc()).limit(limit)))


def _get_open(session: Session, ses_list: SesList, difference_id: int) -> SuppressionDifference:
    query = select(SuppressionDifference).where(*open_of(ses_list), SuppressionDifference.id == difference_id)
    if found := session.scalars(query.with_for_update()).one_or_none():
        return found
    raise NotFound("There is no such difference (any more). Look again.")


def _of_account(session: Session, account_id: int) -> SesList:
    account = session.get(Account, account_id)
    if account is None:
        raise NotFound("There is no such AWS account.")
    return SesList(account.id, account.region)


def _writers(session: Session, account_id: int, keys: list[str]) -> defaultdict[str, list[str]]:
    names = {
        row.id: row.name
        for row in session.execute(select(Tenant.id, Tenant.name).where(Tenant.account_id == account_id))
    }
    query = (
        select(Message.address_key, Message.tenant_id)
        .where(Message.tenant_id.in_(list(names)), is_among(session, Message.address_key, keys))
        .distinct()
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in session.execute(query):
        found[row.address_key].append(names[row.tenant_id])
    return defaultdict(list, {key: sorted(writers) for key, writers in found.items()})


def _standing(session: Session, ses_list: SesList, compared_at: datetime | None) -> Standing:
    query = select(SuppressionComparison).where(*ses_list.rows_of(SuppressionComparison))
    row = session.scalars(query).one_or_none()
    return Standing(
        compared_at=compared_at,
        is_under_way=row is not None and row.finished_at is None and row.error is None,
        pages=row.pages if row else 0,
        listed=row.listed if row else 0,
        error=row.error if row else None,
        is_asked=row.is_asked if row else True,
        differences=count_open(session, ses_list),
    )


def _is_fresh(compared_at: datetime | None, now: datetime) -> bool:
    return compared_at is not None and abs(now - compared_at) < COOLDOWN


def _refuse_too_soon(compared_at: datetime | None, now: datetime) -> None:
    if compared_at is not None and _is_fresh(compared_at, now):
        wait = COOLDOWN - abs(now - compared_at)
        raise TooSoon(
            f"It was compared a moment ago. Compare again in {max(1, round(wait.total_seconds()))} s."
        )
