"""Databases to send from: an account, tenants that may send, campaigns with their recipients."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Insert, insert, select, text, update
from sqlalchemy.orm import Session

from bench import mail
from bench.databases import Place
from core.db import migrate
from core.db.engine import Database
from core.db.models import Account, Campaign, Content, Identity, Message, Sender, Tenant
from core.db.states import CampaignStatus, MessageStatus, VerificationStatus

REGION = "ap-southeast-1"
ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Filling:
    """One account of `rate` recipients a second; one tenant and campaign for each number of recipients.

    `warm_up`: recipients of a further campaign, of the first tenant, to warm a process up with; the others
    are drafts then, until `send_drafts` is called."""

    rate: float
    recipients: tuple[int, ...]
    warm_up: int = 0


def slug(number: int) -> str:
    """Of the tenants, counted from 1: SES's TenantName."""
    return f"shop{number}"


@contextmanager
def prepared(place: Place, name: str, filling: Filling) -> Iterator[str]:
    """The address of the filled database; runs send from copies of it."""
    try:
        yield place.prepare(name, functools.partial(fill, filling=filling))
    finally:
        place.drop(name)


def fill(db: Database, filling: Filling) -> None:
    """Migrate an empty database and write all of it."""
    migrate.upgrade(db)
    now = datetime.now(UTC)
    with db.begin() as session:
        account = _account(session, filling.rate, now)
        campaigns = []
        for number, recipients in enumerate(filling.recipients, 1):
            sender = _tenant(session, account, number, now)
            if filling.warm_up and number == 1:
                campaigns.append(_campaign(session, sender, filling.warm_up, CampaignStatus.SENDING, now))
            status = CampaignStatus.DRAFT if filling.warm_up else CampaignStatus.SENDING
            campaigns.append(_campaign(session, sender, recipients, status, now))
    for campaign in campaigns:
        _write_messages(db, campaign, now)


def send_drafts(db: Database) -> None:
    """After the warm-up: what is to be measured may go."""
    with db.begin() as session:
        session.execute(
            update(Campaign)
            .where(Campaign.status == CampaignStatus.DRAFT)
            .values(status=CampaignStatus.SENDING, version=Campaign.version + 1)
        )


def _account(session: Session, rate: float, now: datetime) -> Account:
    account = Account(
        name="bench",
        region=REGION,
        max_send_rate=rate,
        max_24_hour_send=-1.0,
        production_access=True,
        checked_at=now,
        created_at=now,
    )
    session.add(account)
    session.flush()
    return account


def _tenant(session: Session, account: Account, number: int, now: datetime) -> Sender:
    name = slug(number)
    tenant = Tenant(
        account_id=account.id,
        slug=name,
        name=f"Shop {number}",
        configuration_set=f"postyard-{name}",
        provisioned_at=now,
        created_at=now,
    )
    session.add(tenant)
    session.flush()
    identity = Identity(
        tenant_id=tenant.id,
        name=f"{name}.acme-mail.io",
        verification_status=VerificationStatus.SUCCESS,
        verified_for_sending=True,
        dkim_status=VerificationStatus.SUCCESS,
        checked_at=now,
        verified_at=now,
        created_at=now,
    )
    session.add(identity)
    session.flush()
    sender = Sender(
        tenant_id=tenant.id,
        identity_id=identity.id,
        address=f"news@{identity.name}",
        display_name=tenant.name,
        is_default=True,
        created_at=now,
    )
    session.add(sender)
    session.flush()
    return sender


def _campaign(
    session: Session, sender: Sender, recipients: int, status: CampaignStatus, now: datetime
) -> Campaign:
    content = Content(
        tenant_id=sender.tenant_id, subject=mail.SUBJECT, html=mail.HTML, text=mail.TEXT, created_at=now
    )
    session.add(content)
    session.flush()
    campaign = Campaign(
        tenant_id=sender.tenant_id,
        sender_id=sender.id,
        content_id=content.id,
        name="Bench",
        status=status,
        recipients=recipients,
        created_by="bench",
        created_at=now,
        started_at=now,
    )
    session.add(campaign)
    session.flush()
    return campaign


def _write_messages(db: Database, campaign: Campaign, now: datetime) -> None:
    """A block row by row; further ones the database copies from it, with other addresses."""
    block = min(campaign.recipients, ROWS_AT_ONCE)
    with quickly(db) as session:
        session.connection().execute(insert(Message), list(_messages(campaign, block, now)))
    for number, written in enumerate(range(block, campaign.recipients, block), 1):
        with quickly(db) as session:
            how_many = min(block, campaign.recipients - written)
            session.execute(_copying(campaign, f"again{number}.", how_many))


@contextmanager
def quickly(db: Database) -> Iterator[Session]:
    """Without the checks of foreign keys that cost PostgreSQL most of the time."""
    with db.begin() as session:
        if not db.is_sqlite:
            session.execute(text("SET LOCAL session_replication_role = replica"))
        yield session


def _messages(campaign: Campaign, recipients: int, now: datetime) -> Iterator[dict[str, Any]]:
    for number in range(1, recipients + 1):
        address = f"c{campaign.id}.{mail.address(number)}"
        yield {
            "tenant_id": campaign.tenant_id,
            "campaign_id": campaign.id,
            "sender_id": campaign.sender_id,
            "content_id": campaign.content_id,
            "address": address,
            "address_key": address,
            "fields": mail.fields(number),
            "status": MessageStatus.PENDING,
            "created_at": now,
        }


def _copying(campaign: Campaign, prefix: str, how_many: int) -> Insert:
    names = [column.key for column in Message.__table__.columns if column.key != "id"]
    other = {"address": prefix + Message.address, "address_key": prefix + Message.address_key}
    first_ones = (
        select(*[other.get(name, getattr(Message, name)) for name in names])
        .where(Message.campaign_id == campaign.id)
        .order_by(Message.id)
        .limit(how_many)
    )
    return insert(Message).from_select(names, first_ones)
