"""Models: AWS accounts, what SES allows them, and who may call it when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Told


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
    queue_url: Mapped[str | None]
    queue_arn: Mapped[str | None]
    dead_letter_queue_url: Mapped[str | None]
    heartbeat_sender_id: Mapped[int | None]  # from it a mail goes round every so often; None: none does
    suppressions_compared_at: Mapped[datetime | None]
    lag_seconds: Mapped[float | None]  # age of the oldest event not stored yet, as a scheduler measured it
    lag_at: Mapped[datetime | None]
    late_looks: Mapped[int] = mapped_column(default=0)  # in a row at which the lag was too long
    waiting: Mapped[int | None]  # messages in the queue, as SQS estimates
    dead_letters: Mapped[int | None]  # and in its dead-letter queue
    queues_counted_at: Mapped[datetime | None]
    status_rule_arn: Mapped[str | None]  # EventBridge: SES tells there when it pauses a tenant itself
    created_at: Mapped[datetime]


class Lane(Base):
    """One way out, with its pace: "account 1" (SES), "resend". Whoever claims mail for it holds its row."""

    __tablename__ = "lanes"
    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime | None]  # before it no further call begins
    granted: Mapped[int] = mapped_column(BigInteger, default=0)  # recipients, less those given back, ever
    granted_when_checked: Mapped[int] = mapped_column(BigInteger, default=0)  # what SES's own count contains
    given_back: Mapped[float] = mapped_column(default=0.0)  # recipients whose part of the rate was not used
    throttled_share: Mapped[float] = mapped_column(default=0.0)  # of the recipients lately tried
    slowed_to: Mapped[float] = mapped_column(default=1.0)  # share of the rate, at slowed_at
    slowed_at: Mapped[datetime | None]
    # Whose turn it is among campaigns and for how many recipients more, and who had it last among
    # transactional mail; the two take turns with each other.
    turn_tenant_id: Mapped[int] = mapped_column(default=0)
    turn_left: Mapped[int] = mapped_column(default=0)
    transactional_tenant_id: Mapped[int] = mapped_column(default=0)
    was_transactional: Mapped[bool] = mapped_column(default=False)
    closed_until: Mapped[datetime | None]  # nothing leaves this way before; with the reason beside it
    closed_reason: Mapped[Told | None]


class CallTurn(Base):
    """When the next call of a kind may be made, whichever process makes it: SES's control operations share
    about one a second per account and region."""

    __tablename__ = "call_turns"
    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
