"""Comparing: our lists beside SES's, page by page of SES's.

SES promises no order, a list may be huge, and about one control call a second is answered: so each page of up
to 1,000 addresses is looked up here and what is on both lists gets the comparison's mark; after the last page
what of ours has no mark is missing at SES. How far it has come is stored, so a run may end after any page and
the next one goes on. Memory holds one page.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, and_, exists, func, or_, select, update
from sqlalchemy.orm import Session

from core.app import App
from core.db.many import is_among
from core.db.models import Account, Suppression, SuppressionComparison, Tenant
from core.db.states import SuppressionReason
from core.db.upsert import insert
from core.errors import Conflict, ProviderError
from core.providers.base import Suppressed, SuppressedPage
from core.suppressions.differences import Found, Kind, SesList, confirm, resolve_unconfirmed, tell
from core.suppressions.domains import is_domain
from core.suppressions.entries import active

COMPARE_EVERY = timedelta(days=1)
TRY_AGAIN_AFTER = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=5)
ABANDONED_AFTER = timedelta(hours=6)  # SES's token of the next page may not be good any longer
# SES lists an address when the mail bounces; the event that lists it here is on its way meanwhile.
EVENTS_TAKE = timedelta(hours=1)
PAGES_A_RUN = 100  # about two minutes of SES's control calls
LISTS_A_RUN = 20
SILENT_IN_A_ROW = 3  # then SES is away, and not only for one tenant
BLOCK = 5_000
AT_SES_TOO = (SuppressionReason.BOUNCE, SuppressionReason.COMPLAINT)
NEVER_LISTED = "%@simulator.amazonses.com"  # SES's mailbox simulator: its bounces suppress nobody
STALE = "InvalidNextTokenException"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Step:
    """Where a comparison stands: what its next page's write must still find."""

    begun_at: datetime
    pages: int
    token: str | None

    @property
    def is_read(self) -> bool:
        return self.pages > 0 and self.token is None


def compare_due(app: App) -> str:
    """Job: compare each tenant's list, and each account's, once a day; a run ends after a number of pages and
    the next one goes on. A list that SES does not answer for is tried again later, after the others."""
    with app.db.read() as session:
        due = _due(session, app.now())
    left, done, silent = PAGES_A_RUN, 0, 0
    for ses_list in due:
        try:
            pages, is_done = compare(app, ses_list, left)
        except Conflict:
            continue
        except ProviderError as e:
            silent = 0 if e.permanent else silent + 1
            if silent == SILENT_IN_A_ROW:
                break
            continue
        left, done, silent = left - pages, done + is_done, 0
        if left <= 0:
            break
    return f"Compared {done} of {len(due)} suppression lists with SES's."


def compare(app: App, ses_list: SesList, most_pages: int) -> tuple[int, bool]:
    """Go on with the list's comparison, or begin one, for so many pages; how many were read, and whether it
    is finished. Raises ProviderError, and Conflict when somebody else compares the same list just now."""
    try:
        return _compare(app, ses_list, most_pages)
    except ProviderError as e:
        logger.warning("list %s was not compared with SES's: %s", ses_list, e)
        with app.db.begin() as session:
            session.execute(
                update(SuppressionComparison)
                .where(*ses_list.rows_of(SuppressionComparison))
                .values(tried_at=app.now(), error=str(e))
            )
        raise


def _compare(app: App, ses_list: SesList, most_pages: int) -> tuple[int, bool]:
    step = _begin(app, ses_list)
    if step.is_read:  # whoever read its last page did not come to the end
        _finish(app, ses_list, step)
        return 0, True
    if step.pages == 0 and ses_list.tenant_id:
        _look_at_scope(app, ses_list)
    email = app.providers.email(ses_list.region)
    for number in range(1, most_pages + 1):
        try:
            page = email.list_suppressed(ses_list.tenant_name, step.token)
        except ProviderError as e:
            if e.code != STALE or step.token is None:
                raise
            step = _begin(app, ses_list, anew=True)
            continue
        with app.db.begin() as session:
            step = _keep_page(session, ses_list, step, page, app.now())
        if step.is_read:
            _finish(app, ses_list, step)
            return number, True
    return most_pages, False


def _begin(app: App, ses_list: SesList, *, anew: bool = False) -> Step:
    now = app.now()
    first = {"begun_at": now, "pages": 0, "listed": 0, "next_token": None, "finished_at": None, "error": None}
    with app.db.begin() as session:
        session.execute(
            insert(session, SuppressionComparison)
            .values(account_id=ses_list.account_id, tenant_id=ses_list.tenant_id, is_asked=True, **first)
            .on_conflict_do_nothing()
        )
        query = select(SuppressionComparison).where(*ses_list.rows_of(SuppressionComparison))
        row = session.scalars(query.with_for_update()).one()
        if anew or row.finished_at is not None or abs(now - row.begun_at) > ABANDONED_AFTER:
            for name, value in first.items():
                setattr(row, name, value)
        return Step(row.begun_at, row.pages, row.next_token)


def _look_at_scope(app: App, ses_list: SesList) -> None:
    """Whether SES asks the tenant's own list at all; drift tells and mends it."""
    state = app.providers.email(ses_list.region).find_tenant(str(ses_list.tenant_name))
    with app.db.begin() as session:
        session.execute(
            update(SuppressionComparison)
            .where(*ses_list.rows_of(SuppressionComparison))
            .values(is_asked=state is None or state.own_suppressions)
        )


def _keep_page(session: Session, ses_list: SesList, step: Step, page: SuppressedPage, at: datetime) -> Step:
    moved = session.execute(
        update(SuppressionComparison)
        .where(*ses_list.rows_of(SuppressionComparison), SuppressionComparison.finished_at.is_(None))
        .where(SuppressionComparison.begun_at == step.begun_at, SuppressionComparison.pages == step.pages)
        .values(
            pages=step.pages + 1,
            listed=SuppressionComparison.listed + len(page.entries),
            next_token=page.next_token,
            tried_at=None,
            error=None,
        )
        .returning(SuppressionComparison.pages)
    )
    if moved.first() is None:
        raise Conflict("This list is being compared by somebody else just now. Look again in a minute.")
    if ses_list.tenant_id:
        _mark(session, ses_list, step.begun_at, page.entries, at)
    else:
        found = [Found(each.address, each.reason, each.listed_at) for each in page.entries if _is_one(each)]
        confirm(session, ses_list, Kind.ON_ACCOUNT_LIST, found, step.begun_at, at)
    return Step(step.begun_at, step.pages + 1, page.next_token)


def _mark(
    session: Session, ses_list: SesList, begun_at: datetime, entries: Sequence[Suppressed], at: datetime
) -> None:
    """Ours get the comparison's mark; the others are missing here, but for what was let go meanwhile."""
    listed = {each.address.lower(): each for each in entries if _is_one(each)}
    among = Suppression.tenant_id == ses_list.tenant_id, is_among(session, Suppression.address, list(listed))
    ours = session.execute(
        select(Suppression.id, Suppression.address)
        .where(*among, Suppression.released_at.is_(None))
        .order_by(Suppression.address)  # as everybody locks them
        .with_for_update()
    ).all()
    if ours:
        session.execute(
            update(Suppression)
            .where(Suppression.tenant_id == ses_list.tenant_id, Suppression.id.in_([row.id for row in ours]))
            .values(seen_at_ses_at=begun_at)
        )
    let_go = select(Suppression.address).where(
        *among, Suppression.released_at.is_not(None), Suppression.released_at >= begun_at
    )
    known = {row.address for row in ours} | set(session.scalars(let_go))
    missing = [
        Found(each.address, each.reason, each.listed_at)
        for key, each in listed.items()
        if key not in known and each.listed_at < begun_at - EVENTS_TAKE
    ]
    confirm(session, ses_list, Kind.MISSING_HERE, missing, begun_at, at)


def _is_one(entry: Suppressed) -> bool:
    """Somebody's address: nothing SES says makes an entry for a whole domain; no database keeps a NUL."""
    return not is_domain(entry.address) and "\x00" not in entry.address


def _finish(app: App, ses_list: SesList, step: Step) -> None:
    after = ""
    while ses_list.tenant_id:
        with app.db.begin() as session:
            rows = session.execute(_unmarked(ses_list, step.begun_at, after)).all()
            found = [Found(row.address, row.reason) for row in rows]
            confirm(session, ses_list, Kind.MISSING_AT_SES, found, step.begun_at, app.now())
        if len(rows) < BLOCK:
            break
        after = rows[-1].address
    now = app.now()
    with app.db.begin() as session:
        resolve_unconfirmed(session, ses_list, step.begun_at, now)
        session.execute(
            update(SuppressionComparison)
            .where(*ses_list.rows_of(SuppressionComparison), SuppressionComparison.begun_at == step.begun_at)
            .values(finished_at=now)
        )
        whose = (
            update(Tenant).where(Tenant.id == ses_list.tenant_id)
            if ses_list.tenant_id
            else update(Account).where(Account.id == ses_list.account_id)
        )
        session.execute(whose.values(suppressions_compared_at=now))
        tell(session, ses_list, now)
        if ses_list.tenant_id:  # who is affected by the account's list may have changed
            tell(session, SesList(ses_list.account_id, ses_list.region), now)


def _unmarked(ses_list: SesList, begun_at: datetime, after: str) -> Select[str, str]:
    """Ours that SES should have on its list and has not."""
    seen = Suppression.seen_at_ses_at
    return (
        select(Suppression.address, Suppression.reason)
        .where(*active(ses_list.tenant_id), Suppression.reason.in_(AT_SES_TOO))
        .where(or_(seen.is_(None), seen < begun_at), Suppression.created_at < begun_at - EVENTS_TAKE)
        .where(~Suppression.address.startswith("@"), ~Suppression.address.like(NEVER_LISTED))
        .where(Suppression.address > after)
        .order_by(Suppression.address)
        .limit(BLOCK)
    )


def _due(session: Session, at: datetime) -> list[SesList]:
    """What was begun and not finished first, then what was compared longest ago."""
    comparison = SuppressionComparison
    tried = func.coalesce(comparison.tried_at.between(at - TRY_AGAIN_AFTER, at), False)
    begun = and_(comparison.begun_at.is_not(None), comparison.finished_at.is_(None))
    old = or_(
        comparison.finished_at < at - COMPARE_EVERY,
        comparison.finished_at > at + CLOCKS_DIFFER,  # written while a clock was wrong
    )
    never = and_(comparison.begun_at.is_(None), Tenant.provisioned_at < at - COMPARE_EVERY)
    of_tenants = (
        select(Tenant)
        .outerjoin(
            comparison,
            and_(comparison.account_id == Tenant.account_id, comparison.tenant_id == Tenant.id),
        )
        .where(Tenant.provisioned_at.is_not(None), ~tried, or_(begun, old, never))
        .order_by(begun.desc(), comparison.finished_at, Tenant.id)
        .limit(LISTS_A_RUN)
    )
    has_tenants = exists().where(Tenant.account_id == Account.id, Tenant.provisioned_at < at - COMPARE_EVERY)
    of_accounts = (
        select(Account)
        .outerjoin(comparison, and_(comparison.account_id == Account.id, comparison.tenant_id == 0))
        .where(has_tenants, ~tried, or_(begun, old, comparison.begun_at.is_(None)))
        .order_by(Account.id)
    )
    regions = {row.id: row.region for row in session.execute(select(Account.id, Account.region))}
    return [
        *(SesList(account.id, account.region) for account in session.scalars(of_accounts)),
        *(
            SesList(tenant.account_id, regions[tenant.account_id], tenant.id, tenant.slug)
            for tenant in session.scalars(of_tenants)
        ),
    ]
