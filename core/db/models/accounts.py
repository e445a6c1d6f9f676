"""Models: AWS accounts, what SES allows them, and who may call it when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Told


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
    # Production access: what SES says of the request (PENDING, FAILED, GRANTED, DENIED), what was asked.
    review_status: Mapped[str | None]
    review_case_id: Mapped[Told | None]
    access_request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    access_requested_at: Mapped[datetime | None]
    access_requested_by: Mapped[str | None]
    closed_until: Mapped[datetime | None]  # nothing is sent through it before; with the reason beside it
    closed_reason: Mapped[Told | None]
    queue_url: Mapped[str | None]
    queue_arn: Mapped[str | None]
    dead_letter_queue_url: Mapped[str | None]
    status_rule_arn: Mapped[str | None]  # EventBridge: SES tells there when it pauses a tenant itself
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


class CallTurn(Base):
    """When the next call of a kind may be made, whichever process makes it: SES's control operations share
    about one a second per account and region."""

    __tablename__ = "call_turns"
    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
