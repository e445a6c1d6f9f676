"""Models: contents, templates, campaigns and their messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Told


class Content(Base):
    """What a mail says, with merge fields; never changed once written."""

    __tablename__ = "contents"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    subject: Mapped[str]
    html: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)
    # Merge field -> value when a recipient has none.
    fallbacks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]


class Template(Base):
    """A named content; each saving is a new version, a campaign keeps the one it was made with."""

    __tablename__ = "templates"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    name: Mapped[str]
    version: Mapped[int]
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id"))
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("tenant_id", "name", "version"),)


class Campaign(Base):
    """One content to many recipients."""

    __tablename__ = "campaigns"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    sender_id: Mapped[int] = mapped_column(ForeignKey("senders.id"))
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id"))
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="DRAFT", index=True)
    status_reason: Mapped[Told | None]
    provider: Mapped[str] = mapped_column(default="ses")  # the way it was last sent
    rate_per_second: Mapped[float | None]  # None: as fast as the account allows
    next_at: Mapped[datetime | None]  # with a rate: before it none of its calls begins
    send_until: Mapped[datetime | None]  # who was not written to by then is not written to at all
    recipients: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    csv_sha256: Mapped[str | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so


class Message(Base):
    """One mail to one recipient, of a campaign or transactional. Its moves: docs/architecture.md."""

    __tablename__ = "messages"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaigns.id"))
    sender_id: Mapped[int] = mapped_column(ForeignKey("senders.id"))
    content_id: Mapped[int] = mapped_column(ForeignKey("contents.id"))
    address: Mapped[str]  # as it was given, IDNA domain
    address_key: Mapped[str]  # lower case: who it is
    fields: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[str] = mapped_column(default="pending")
    reason: Mapped[Told | None]
    attempt: Mapped[str | None]  # of the call that carried it; with the id it is the tag msg_uid
    worker: Mapped[str | None]
    provider: Mapped[str | None]
    provider_message_id: Mapped[str | None]
    resent_by: Mapped[str | None]  # who had it sent again although nobody knew whether SES had taken it
    earlier_attempts: Mapped[str | None]  # then, with a space between: their events are its events, too
    left_by: Mapped[str | None]  # who decided that it stays unknown
    created_by: Mapped[str | None]
    created_at: Mapped[datetime]
    armed_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    bounced_at: Mapped[datetime | None]
    complained_at: Mapped[datetime | None]
    delayed_at: Mapped[datetime | None]
    opened_at: Mapped[datetime | None]
    clicked_at: Mapped[datetime | None]
    opened_by: Mapped[str | None]  # person, or machine when only machines did: as what it is counted
    clicked_by: Mapped[str | None]
    bounce_type: Mapped[str | None]
    bounce_subtype: Mapped[str | None]
    counts_in_rates: Mapped[bool] = mapped_column(default=True)  # False: SES's mailbox simulator
    __table_args__ = (
        UniqueConstraint("campaign_id", "address_key"),
        Index(None, "campaign_id", "status", "id"),
        Index(None, "tenant_id", "address_key"),
        Index("ix_messages_transactional", "tenant_id", "id",
              sqlite_where=text("campaign_id IS NULL AND status = 'pending'"),
              postgresql_where=text("campaign_id IS NULL AND status = 'pending'")),
        Index("ix_messages_unknown", "tenant_id", "armed_at",
              sqlite_where=text("status = 'unknown'"), postgresql_where=text("status = 'unknown'")),
        Index("ix_messages_resend", "provider_message_id",
              sqlite_where=text("provider = 'resend'"), postgresql_where=text("provider = 'resend'")),
        Index("ix_messages_in_flight", "worker", "id",
              sqlite_where=text("status = 'sending'"), postgresql_where=text("status = 'sending'")),
    )  # fmt: skip
