"""Differences: where our list and SES's lists do not agree, kept row by row until they do, and told once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from core import alerts
from core.db.models import Account, SuppressionComparison, SuppressionDifference, Tenant
from core.db.upsert import insert
from core.suppressions.entries import BLOCK, blocks

ALERT = "suppression lists differ"
AGREES = "The lists agree again."


class Kind(StrEnum):
    MISSING_HERE = "missing here"
    MISSING_AT_SES = "missing at SES"
    ON_ACCOUNT_LIST = "on the account's list"


@dataclass(frozen=True, slots=True)
class SesList:
    """One of SES's lists: a tenant's, or with tenant_id 0 and no name the account's."""

    account_id: int
    region: str
    tenant_id: int = 0
    tenant_name: str | None = None

    def rows_of(self, table: type[SuppressionDifference] | type[SuppressionComparison]) -> tuple[Any, Any]:
        return table.account_id == self.account_id, table.tenant_id == self.tenant_id


@dataclass(frozen=True, slots=True)
class Found:
    """A difference just seen; `listed_at`: since when SES lists the address."""

    address: str
    reason: str
    listed_at: datetime | None = None


def of_tenant(session: Session, tenant: Tenant) -> SesList:
    region = session.scalars(select(Account.region).where(Account.id == tenant.account_id)).one()
    return SesList(tenant.account_id, region, tenant.id, tenant.slug)


def confirm(
    session: Session, ses_list: SesList, kind: Kind, found: Sequence[Found], begun_at: datetime, at: datetime
) -> None:
    """Open a difference for each, or note that the comparison begun then has found it again."""
    statement = insert(session, SuppressionDifference)
    statement = statement.on_conflict_do_update(
        index_elements=["account_id", "tenant_id", "kind", "address"],
        index_where=text("resolved_at IS NULL"),
        set_={name: statement.excluded[name] for name in ("reason", "listed_at", "confirmed_at")},
    )
    rows = [
        {
            "account_id": ses_list.account_id,
            "tenant_id": ses_list.tenant_id,
            "address": each.address,
            "kind": kind.value,
            "reason": each.reason,
            "listed_at": each.listed_at,
            "found_at": at,
            "confirmed_at": begun_at,
        }
        for each in sorted(found, key=lambda each: each.address)
    ]
    for block in blocks(rows, BLOCK):
        session.connection().execute(statement, block)


def resolve_unconfirmed(session: Session, ses_list: SesList, begun_at: datetime, at: datetime) -> None:
    """What a whole comparison has not found again is no difference any more."""
    session.execute(
        update(SuppressionDifference)
        .where(*open_of(ses_list), SuppressionDifference.confirmed_at < begun_at)
        .values(resolved_at=at, resolved_by="postyard", resolution=AGREES)
    )


def resolve(session: Session, difference: SuppressionDifference, by: str, how: str, at: datetime) -> None:
    difference.resolved_at, difference.resolved_by, difference.resolution = at, by, how


def open_of(ses_list: SesList) -> tuple[Any, ...]:
    return *ses_list.rows_of(SuppressionDifference), SuppressionDifference.resolved_at.is_(None)


def count_open(session: Session, ses_list: SesList) -> dict[str, int]:
    query = (
        select(SuppressionDifference.kind, func.count())
        .where(*open_of(ses_list))
        .group_by(SuppressionDifference.kind)
    )
    return {kind: number for kind, number in session.execute(query)}


def tell(session: Session, ses_list: SesList, at: datetime) -> None:
    """One alert for each list that differs, until it agrees. The account's list keeps mail back only where a
    tenant has none of its own: else what stands there is shown, and nobody is called for it."""
    if ses_list.tenant_id:
        cause, sentence = f"tenant {ses_list.tenant_id}", _told_of_tenant(session, ses_list)
    else:
        cause, sentence = f"account {ses_list.account_id}", _told_of_account(session, ses_list)
    if sentence is None:
        alerts.clear(session, kind=ALERT, cause=cause, at=at)
        return
    alerts.raise_once(
        session, kind=ALERT, cause=cause, sentence=sentence, tenant_id=ses_list.tenant_id or None, at=at
    )


def tenants_on_account_list(session: Session, account_id: int) -> list[str]:
    """Names of the tenants whose mail the account's list keeps back, as last seen."""
    query = (
        select(Tenant.name)
        .join(SuppressionComparison, SuppressionComparison.tenant_id == Tenant.id)
        .where(Tenant.account_id == account_id, SuppressionComparison.is_asked.is_(False))
        .where(SuppressionComparison.account_id == account_id, SuppressionComparison.tenant_id != 0)
    )
    return list(session.scalars(query.order_by(Tenant.name)))


def _told_of_tenant(session: Session, ses_list: SesList) -> str | None:
    number = count_open(session, ses_list)
    name = session.scalars(select(Tenant.name).where(Tenant.id == ses_list.tenant_id)).one()
    here, there = number.get(Kind.MISSING_HERE, 0), number.get(Kind.MISSING_AT_SES, 0)
    asked = session.scalar(
        select(SuppressionComparison.is_asked).where(*ses_list.rows_of(SuppressionComparison))
    )
    if asked is False:
        return (
            f"SES asks the account's suppression list for {name}'s mail, not {name}'s own: others' bounces "
            "stop it. Repair the tenant's setup."
        )
    if not here + there:
        return None
    return (
        f"The suppression list of {name} and SES's differ: {here} missing here, {there} missing at SES. "
        "Look at them on the Suppressions page and repair them."
    )


def _told_of_account(session: Session, ses_list: SesList) -> str | None:
    number = sum(count_open(session, ses_list).values())
    names = tenants_on_account_list(session, ses_list.account_id)
    if not number or not names:
        return None
    return (
        f"SES's account list has {number} addresses, and it is asked for the mail of {', '.join(names)}. "
        "Repair their setup, so that each has a list of its own."
    )
