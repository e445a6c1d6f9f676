"""Models: identities, the senders on them, and the links that let a tenant's DNS person see one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Told


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
    mail_from_domain: Mapped[Told | None]
    mail_from_status: Mapped[str | None]
    verification_token: Mapped[Told | None]  # of SES's older API: the TXT record at _amazonses
    error_type: Mapped[Told | None]  # SES's VerificationInfo.ErrorType
    error_detail: Mapped[Told | None]
    # SES's VerificationInfo: last_checked_at, last_success_at (ISO 8601), error_type, primary_name_server.
    verification_info: Mapped[dict[str, Any]] = mapped_column(default=dict)
    dns_findings: Mapped[list[dict[str, Any]]] = mapped_column(default=list)  # core.dns.Finding.as_json
    checked_at: Mapped[datetime | None]
    verified_at: Mapped[datetime | None]
    broken_at: Mapped[datetime | None]  # was verified, and is not since then
    broken_reason: Mapped[Told | None]
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
    deleted_at: Mapped[datetime | None]  # can be restored until removed_at is set, seven days later
    deleted_by: Mapped[str | None]
    removed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so
    __table_args__ = (
        Index("uq_senders_tenant_id_address", "tenant_id", "address", unique=True,
              sqlite_where=text("deleted_at IS NULL"), postgresql_where=text("deleted_at IS NULL")),
        Index("uq_senders_default", "tenant_id", unique=True,
              sqlite_where=text("is_default AND deleted_at IS NULL"),
              postgresql_where=text("is_default AND deleted_at IS NULL")),
    )  # fmt: skip


class OnboardingLink(Base):
    """A read-only page about one identity for whoever manages its DNS; we hold the secret's SHA-256."""

    __tablename__ = "onboarding_links"
    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    identity_id: Mapped[int] = mapped_column(ForeignKey("identities.id"))
    token_hash: Mapped[str] = mapped_column(unique=True)
    note: Mapped[str] = mapped_column(default="")  # for whom it was made
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    opened_at: Mapped[datetime | None]  # the last time
