"""Models: what providers reported, who must not be written to, and whether they still report at all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Told


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
    # Of opens and clicks, hostile too: by what a person is told from a machine.
    link: Mapped[str | None] = mapped_column(Text)
    user_agent: Mapped[str | None] = mapped_column(Text)
    ip_address: Mapped[str | None]
    bot_likely: Mapped[bool | None]  # SES's own word, isBotEvent
    raw: Mapped[str] = mapped_column(Text)
    __table_args__ = (
        Index(None, "tenant_id", "id"),
        Index("ix_events_complaints", "received_at",
              sqlite_where=text("type = 'COMPLAINT'"), postgresql_where=text("type = 'COMPLAINT'")),
    )  # fmt: skip


class ParkedEvent(Base):
    """An event nobody could match or read yet: kept, retried and shown."""

    __tablename__ = "parked_events"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uid: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))  # None: the second provider's
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))
    reason: Mapped[str]  # unmatched, unreadable, wrong tenant
    body: Mapped[str] = mapped_column(Text)
    received_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None] = mapped_column(index=True)
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]  # who discarded or replayed it; None: it found its message by itself
    resolution: Mapped[str | None]  # what became of it: matched, discarded, with the reason given
    __table_args__ = (
        Index("ix_parked_events_open", "reason", "tenant_id",
              sqlite_where=text("resolved_at IS NULL"), postgresql_where=text("resolved_at IS NULL")),
    )  # fmt: skip


class Suppression(Base):
    """An address, or with a leading @ a whole domain, a tenant must not write to; released rows stay as
    history."""

    __tablename__ = "suppressions"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    address: Mapped[str]  # lower case; "@example.com" is everybody there
    reason: Mapped[str]
    source: Mapped[str]  # event, manual, import, unsubscribe, ses
    note: Mapped[str] = mapped_column(default="")
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    event_id: Mapped[int | None] = mapped_column(ForeignKey("events.id"))
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    released_by: Mapped[str | None]
    released_at: Mapped[datetime | None]
    release_reason: Mapped[str | None]
    seen_at_ses_at: Mapped[datetime | None]  # begin of the last comparison that found it on SES's list, too
    __table_args__ = (
        Index("uq_suppressions_active", "tenant_id", "address", unique=True,
              sqlite_where=text("released_at IS NULL"), postgresql_where=text("released_at IS NULL")),
        Index("ix_suppressions_released", "tenant_id", "address",
              sqlite_where=text("released_at IS NOT NULL"),
              postgresql_where=text("released_at IS NOT NULL")),
    )  # fmt: skip


class SuppressionDifference(Base):
    """An address on which our list and SES's lists do not agree; resolved rows stay as history."""

    __tablename__ = "suppression_differences"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    tenant_id: Mapped[int]  # 0: SES's account list
    address: Mapped[str]
    kind: Mapped[str]  # missing here, missing at SES, on the account's list
    reason: Mapped[str]  # BOUNCE, COMPLAINT, UNSUBSCRIBE, MANUAL, as the list that has it says
    listed_at: Mapped[datetime | None]  # since when, at SES
    found_at: Mapped[datetime]
    confirmed_at: Mapped[datetime]  # begin of the last comparison that found it
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str | None]
    resolution: Mapped[str | None]
    __table_args__ = (
        Index("uq_suppression_differences_open", "account_id", "tenant_id", "kind", "address", unique=True,
              sqlite_where=text("resolved_at IS NULL"), postgresql_where=text("resolved_at IS NULL")),
    )  # fmt: skip


class SuppressionComparison(Base):
    """How far the comparison of one list with SES's has come: its pages may take several runs."""

    __tablename__ = "suppression_comparisons"
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(primary_key=True)  # 0: SES's account list
    begun_at: Mapped[datetime]
    pages: Mapped[int] = mapped_column(default=0)
    listed: Mapped[int] = mapped_column(default=0)  # addresses on SES's list, so far
    is_asked: Mapped[bool] = mapped_column(default=True)  # False: SES asks the account's list instead of it
    next_token: Mapped[str | None] = mapped_column(Text)
    finished_at: Mapped[datetime | None]
    tried_at: Mapped[datetime | None]  # the last time that SES did not answer, and what it said
    error: Mapped[Told | None]


class Heartbeat(Base):
    """One mail to SES's mailbox simulator, and when its delivery was stored: the whole way round."""

    __tablename__ = "heartbeats"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    message_id: Mapped[int] = mapped_column(ForeignKey("messages.id"), index=True)
    begun_at: Mapped[datetime]
    returned_at: Mapped[datetime | None]
    __table_args__ = (Index(None, "account_id", "id"),)
