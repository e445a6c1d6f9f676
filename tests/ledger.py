"""A tenant with mail on its way, written straight into the database, and what SES would say about it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, insert, select

from core.app import App
from core.db.models import (
    Account,
    Campaign,
    Content,
    DailyCount,
    DomainCount,
    DomainTotal,
    Event,
    Identity,
    Message,
    ParkedEvent,
    Sender,
    Suppression,
    Tenant,
)
from core.db.states import BounceType, EventType
from core.events.counting import COLUMNS, Counted, kept
from core.providers.base import ProviderEvent

ATTEMPT = "00112233aabbccdd"
ARMED_AT = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Ledger:
    """One tenant, one campaign, as they are after mail has been armed."""

    app: App
    account: Account
    tenant: Tenant
    sender: Sender
    campaign: Campaign

    def add_message(self, address: str, **values: Any) -> Message:
        return self.add_messages([address], **values)[0]

    def add_messages(self, addresses: list[str], **values: Any) -> list[Message]:
        row = {
            "tenant_id": self.tenant.id,
            "campaign_id": self.campaign.id,
            "sender_id": self.sender.id,
            "content_id": self.campaign.content_id,
            "status": "sending",
            "attempt": ATTEMPT,
            "provider": "ses",
            "created_at": ARMED_AT - timedelta(minutes=1),
            "armed_at": ARMED_AT,
            "fields": {},
            "counts_in_rates": True,
            **values,
        }
        rows = [{**row, "address": address, "address_key": address.lower()} for address in addresses]
        with self.app.db.begin() as session:
            ids = list(session.scalars(insert(Message).returning(Message.id), rows))
        with self.app.db.read() as session:
            return list(session.scalars(select(Message).where(Message.id.in_(ids)).order_by(Message.id)))

    def add_campaign(self, name: str, **values: Any) -> Ledger:
        with self.app.db.begin() as session:
            campaign = Campaign(
                **{
                    "tenant_id": self.tenant.id,
                    "sender_id": self.sender.id,
                    "content_id": self.campaign.content_id,
                    "name": name,
                    "status": "SENDING",
                    "created_by": "bob",
                    "created_at": ARMED_AT,
                    "started_at": ARMED_AT,
                    **values,
                }
            )
            session.add(campaign)
        return Ledger(self.app, self.account, self.tenant, self.sender, campaign)

    def says(self, message: Message, type: EventType, **values: Any) -> ProviderEvent:
        """An event about the message, as SES publishes it to the tenant's topic."""
        number = next(_numbers)
        return ProviderEvent(
            **{
                "uid": f"event-{number}",
                "type": type,
                "recipient": message.address_key,
                "provider_message_id": f"ses-{message.id}",
                "msg_uid": f"{message.id}-{message.attempt}",
                "occurred_at": ARMED_AT + timedelta(seconds=10 * number),  # slowly, as people read
                "topic_arn": self.tenant.topic_arn,
                "tenant_tag": self.tenant.slug,
                "raw": "{}",
                **values,
            }
        )

    def bounce(self, message: Message, subtype: str = "NoEmail", **values: Any) -> ProviderEvent:
        return self.says(
            message,
            EventType.BOUNCE,
            **{"bounce_type": BounceType.PERMANENT, "bounce_subtype": subtype, **values},
        )

    def transient(self, message: Message, subtype: str = "MailboxFull", **values: Any) -> ProviderEvent:
        return self.bounce(message, subtype, bounce_type=BounceType.TRANSIENT, **values)

    def complaint(self, message: Message, feedback_type: str = "abuse", **values: Any) -> ProviderEvent:
        return self.says(message, EventType.COMPLAINT, feedback_type=feedback_type, **values)

    def look(self, message: Message) -> Message:
        with self.app.db.read() as session:
            return session.get_one(Message, message.id)

    def messages(self) -> list[Message]:
        return self._all(Message)

    def events(self) -> list[Event]:
        return self._all(Event)

    def parked(self) -> list[ParkedEvent]:
        return self._all(ParkedEvent)

    def suppressions(self) -> list[Suppression]:
        return self._all(Suppression)

    def tenant_now(self) -> Tenant:
        with self.app.db.read() as session:
            return session.get_one(Tenant, self.tenant.id)

    def counts(self) -> Counted:
        """The rollups of the tenant."""
        with self.app.db.read() as session:
            return kept(session, self.tenant.id)

    def total(self, column: str) -> int:
        return sum(counts[COLUMNS.index(column)] for counts in self.counts().daily.values())

    def forget_events(self) -> None:
        """Back to before any event came."""
        with self.app.db.begin() as session:
            for table in (Suppression, Event, ParkedEvent, DailyCount, DomainCount, DomainTotal, Message):
                session.execute(delete(table))

    def _all(self, table: Any) -> list[Any]:
        with self.app.db.read() as session:
            return list(session.scalars(select(table).order_by(table.id)))


def new_account(app: App, name: str = "platform", **values: Any) -> Account:
    with app.db.begin() as session:
        account = Account(
            name=name, region="ap-southeast-1", created_at=ARMED_AT, checked_at=ARMED_AT, **values
        )
        session.add(account)
    return account


def new_ledger(app: App, account: Account, slug: str, **tenant_values: Any) -> Ledger:
    with app.db.begin() as session:
        tenant = Tenant(
            **{
                "account_id": account.id,
                "slug": slug,
                "name": slug.title(),
                "topic_arn": f"arn:aws:sns:ap-southeast-1:123456789012:postyard-{slug}-events",
                "provisioned_at": ARMED_AT,
                "created_at": ARMED_AT,
                **tenant_values,
            }
        )
        session.add(tenant)
    return ledger_of(app, account, tenant)


def ledger_of(app: App, account: Account, tenant: Tenant) -> Ledger:
    """A sender and a campaign for a tenant that is there."""
    with app.db.begin() as session:
        identity = Identity(
            tenant_id=tenant.id,
            name=f"{tenant.slug}-mail.io",
            verification_status="SUCCESS",
            verified_for_sending=True,
            created_at=ARMED_AT,
        )
        content = Content(
            tenant_id=tenant.id, subject="Hello", html="<p>Hello</p>", text="Hello", created_at=ARMED_AT
        )
        session.add_all([identity, content])
        session.flush()
        sender = Sender(
            tenant_id=tenant.id,
            identity_id=identity.id,
            address=f"news@{tenant.slug}-mail.io",
            created_at=ARMED_AT,
        )
        session.add(sender)
        session.flush()
        campaign = Campaign(
            tenant_id=tenant.id,
            sender_id=sender.id,
            content_id=content.id,
            name="Spring",
            status="SENDING",
            created_by="bob",
            created_at=ARMED_AT,
            started_at=ARMED_AT,
        )
        session.add(campaign)
    return Ledger(app, account, tenant, sender, campaign)
