"""Models: every table, in the order they depend on each other. Read it to learn the domain."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base as Base
from core.db.base import Id


class Account(Base):
    """An AWS account and region we send through, and what SES last said it allows (GetAccount)."""

    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    region: Mapped[str]
    aws_account_id: Mapped[str | None]
    max_send_rate: Mapped[float] = mapped_column(default=1.0)
    max_24_hour_send: Mapped[float] = mapped_column(default=200.0)  # -1: unlimited
    sent_last_24_hours: Mapped[float] = mapped_column(default=0.0)
    production_access: Mapped[bool] = mapped_column(default=False)
    sending_enabled: Mapped[bool] = mapped_column(default=True)
    enforcement_status: Mapped[str] = mapped_column(default="HEALTHY")
    checked_at: Mapped[datetime | None]
    closed_until: Mapped[datetime | None]  # nothing is sent through it before; with the reason beside it
    closed_reason: Mapped[str | None]
    queue_url: Mapped[str | None]
    queue_arn: Mapped[str | None]
    dead_letter_queue_url: Mapped[str | None]
    created_at: Mapped[datetime]


class RateGrant(Base):
    """Part of an account's rate that one call to SES holds, until a second after the call ended."""

    __tablename__ = "rate_grants"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    attempt: Mapped[str]
    recipients: Mapped[int]
    granted_at: Mapped[datetime]
    held_until: Mapped[datetime]
    __table_args__ = (Index(None, "account_id", "held_until"), Index(None, "attempt"))


class Tenant(Base):
    """A customer whose mail is kept apart: its own SES tenant, configuration set and SNS topic."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    slug: Mapped[str] = mapped_column(unique=True)  # SES's TenantName
    name: Mapped[str]
    timezone: Mapped[str] = mapped_column(default="UTC")
    sending_status: Mapped[str] = mapped_column(default="ENABLED")
    paused_reason: Mapped[str | None]
    paused_by: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    resumed_at: Mapped[datetime | None]  # judging of reputation starts anew from here
    ses_status_synced: Mapped[bool] = mapped_column(default=True)  # False: SES must still be told
    ses_tenant_id: Mapped[str | None]
    ses_tenant_arn: Mapped[str | None]
    configuration_set: Mapped[str | None]
    topic_arn: Mapped[str | None]
    provisioned_at: Mapped[datetime | None]
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so


class User(Base):
    """Somebody who signs in."""

    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)  # lower case
    name: Mapped[str]
    email: Mapped[str | None]
    role: Mapped[str]
    password_hash: Mapped[str]
    must_change_password: Mapped[bool] = mapped_column(default=False)
    disabled_at: Mapped[datetime | None]
    timezone: Mapped[str | None]
    created_at: Mapped[datetime]


class UserTenant(Base):
    """A tenant assigned to an account manager or analyst."""

    __tablename__ = "user_tenants"
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)


class UserSession(Base):
    """A sign-in; the browser holds the secret, we hold its SHA-256."""

    __tablename__ = "user_sessions"
    id: Mapped[int] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    ip_address: Mapped[str | None]
    user_agent: Mapped[str | None]


class SignInTicket(Base):
    """Proof, for half a minute and one use, that the form accepted somebody; swapped for a session cookie."""

    __tablename__ = "sign_in_tickets"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SignInFailure(Base):
    """Wrong passwords in a row: subject is `user:NAME` or `address:IP`."""

    __tablename__ = "sign_in_failures"
    subject: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    last_failed_at: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class AuditEntry(Base):
    """Who did what to what; only ever added to."""

    __tablename__ = "audit_entries"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    role: Mapped[str]
    user_id: Mapped[int | None]
    tenant_id: Mapped[int | None] = mapped_column(index=True)
    action: Mapped[str]
    subject: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Identity(Base):
    """A domain or address in SES that mail may come from once it is verified."""

    __tablename__ = "identities"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    name: Mapped[str]  # lower case, IDNA; one owner among all tenants
    type: Mapped[str] = mapped_column(default="DOMAIN")  # DOMAIN or EMAIL_ADDRESS
    verification_status: Mapped[str] = mapped_column(default="NOT_STARTED")
    verified_for_sending: Mapped[bool] = mapped_column(default=False)
    dkim_status: Mapped[str] = mapped_column(default="NOT_STARTED")
    dkim_tokens: Mapped[list[str]] = mapped_column(default=list)
    signing_hosted_zone: Mapped[str] = mapped_column(default="dkim.amazonses.com")
    mail_from_domain: Mapped[str | None]
    mail_from_status: Mapped[str | None]
    error_type: Mapped[str | None]  # SES's VerificationInfo.ErrorType
    error_detail: Mapped[str | None]
    # By record name: expected, found, verdict.
    dns_findings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    checked_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]  # gone from SES: anybody may add the name again
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so
    __table_args__ = (
        Index("uq_identities_name", "name", unique=True,
              sqlite_where=text("removed_at IS NULL"), postgresql_where=text("removed_at IS NULL")),
    )  # fmt: skip


class Sender(Base):
    """A From address on an identity."""

    __tablename__ = "senders"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"))
    identity_id: Mapped[int] = mapped_column(ForeignKey("identities.id"))
    address: Mapped[str]
    display_name: Mapped[str] = mapped_column(default="")
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so
    __table_args__ = (
        Index("uq_senders_tenant_id_address", "tenant_id", "address", unique=True,
              sqlite_where=text("deleted_at IS NULL"), postgresql_where=text("deleted_at IS NULL")),
        Index("uq_senders_default", "tenant_id", unique=True,
              sqlite_where=text("is_default AND deleted_at IS NULL"),
              postgresql_where=text("is_default AND deleted_at IS NULL")),
    )  # fmt: skip


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
    status_reason: Mapped[str | None]
    provider: Mapped[str] = mapped_column(default="ses")
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
    reason: Mapped[str | None]
    attempt: Mapped[str | None]  # of the call that carried it; with the id it is the tag msg_uid
    worker: Mapped[str | None]
    provider: Mapped[str | None]
    provider_message_id: Mapped[str | None]
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
    bounce_type: Mapped[str | None]
    bounce_subtype: Mapped[str | None]
    counts_in_rates: Mapped[bool] = mapped_column(default=True)  # False: SES's mailbox simulator
    __table_args__ = (
        UniqueConstraint("campaign_id", "address_key"),
        Index(None, "campaign_id", "status", "id"),
        Index(None, "tenant_id", "address_key"),
        Index("ix_messages_transactional", "status", "id",
              sqlite_where=text("campaign_id IS NULL"), postgresql_where=text("campaign_id IS NULL")),
        Index("ix_messages_in_flight", "worker", "id",
              sqlite_where=text("status = 'sending'"), postgresql_where=text("status = 'sending'")),
    )  # fmt: skip


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


class Worker(Base):
    """A scheduler process that sends; the messages of one that stopped beating become unknown."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


class JobRun(Base):
    """When a job last ran anywhere, and what it said; claimed so that one scheduler runs it at a time."""

    __tablename__ = "job_runs"
    name: Mapped[str] = mapped_column(primary_key=True)
    claimed_until: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[str] = mapped_column(default="")
    error: Mapped[str | None]
