"""Models: what providers reported, who must not be written to, and the counts kept of it."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id


class Event(Base):
    """What a provider said about a message; `uid` makes the same event said twice one row."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), index=True)
    type: Mapped[str]
    recipient: Mapped[str]
    occurred_at: Mapped[datetime]
    received_at: Mapped[datetime]
    bounce_type: Mapped[str | None]
    bounce_subtype: Mapped[str | None]
    feedback_type: Mapped[str | None]  # of a complaint; `not-spam` is none
    counts_in_rates: Mapped[bool] = mapped_column(default=True)
    diagnostic: Mapped[str | None] = mapped_column(Text)  # hostile text: shown as text only
    raw: Mapped[str] = mapped_column(Text)
    __table_args__ = (Index(None, "tenant_id", "id"),)


class ParkedEvent(Base):
    """An event nobody could match or read yet: kept, retried and shown."""

    __tablename__ = "parked_events"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    reason: Mapped[str]  # unmatched, unreadable, wrong tenant
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None] = mapped_column(index=True)
    resolved_at: Mapped[datetime | None]


class Suppression(Base):
    """An address a tenant must not write to; released rows stay as history."""

    __tablename__ = "suppressions"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    address: Mapped[str]  # lower case
    reason: Mapped[str]
    source: Mapped[str]  # event, manual, import, unsubscribe
    note: Mapped[str] = mapped_column(default="")
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("events.id"))
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    released_by: Mapped[str | None]
    released_at: Mapped[datetime | None]
    release_reason: Mapped[str | None]
    __table_args__ = (
        Index("uq_suppressions_active", "tenant_id", "address", unique=True,
              sqlite_where=text("released_at IS NULL"), postgresql_where=text("released_at IS NULL")),
    )  # fmt: skip


class DailyCount(Base):
    """What happened to mail armed on one UTC day, by tenant, campaign (0: transactional), recipient domain:
    a bounce next morning counts against its mail. Kept in the transaction that moves the messages."""

    __tablename__ = "daily_counts"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    recipient_domain: Mapped[str] = mapped_column(primary_key=True)
    sent: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[int] = mapped_column(default=0)
    permanent_bounces: Mapped[int] = mapped_column(default=0)
    transient_bounces: Mapped[int] = mapped_column(default=0)
    complaints: Mapped[int] = mapped_column(default=0)
    opened: Mapped[int] = mapped_column(default=0)
    clicked: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    __table_args__ = (Index(None, "tenant_id", "campaign_id"),)
