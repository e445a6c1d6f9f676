"""Models: tenants, and what each has in AWS."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Told


class Tenant(Base):
    """A customer whose mail is kept apart: its own SES tenant, configuration set and SNS topic."""

    __tablename__ = "tenants"
    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    slug: Mapped[str] = mapped_column(unique=True)  # SES's TenantName
    name: Mapped[str]
    timezone: Mapped[str] = mapped_column(default="UTC")
    sending_status: Mapped[str] = mapped_column(default="ENABLED")
    paused_reason: Mapped[Told | None]
    paused_by: Mapped[str | None]
    paused_at: Mapped[datetime | None]
    resumed_at: Mapped[datetime | None]  # judging of reputation starts anew from here
    probation_left: Mapped[int] = mapped_column(
        default=0
    )  # outcomes until a resumed tenant sends at full speed
    next_at: Mapped[datetime | None]  # on probation: before it no further call begins
    # Rates 0-1 at which the tenant is warned about and paused; None: Postyard's own. Never above them.
    warn_bounce_rate: Mapped[float | None]
    pause_bounce_rate: Mapped[float | None]
    warn_complaint_rate: Mapped[float | None]
    pause_complaint_rate: Mapped[float | None]
    suppressions_compared_at: Mapped[datetime | None]  # with SES's lists
    ses_status_synced: Mapped[bool] = mapped_column(default=True)  # False: SES must still be told
    ses_tenant_id: Mapped[str | None]
    ses_tenant_arn: Mapped[str | None]
    configuration_set: Mapped[str | None]
    topic_arn: Mapped[str | None]
    provisioned_at: Mapped[datetime | None]
    drift_checked_at: Mapped[datetime | None]
    reputation_policy: Mapped[str] = mapped_column(
        default="standard"
    )  # as we want it: none, standard, strict
    aws_status: Mapped[str | None]  # what AWS itself decided of the tenant, and its cause
    aws_status_cause: Mapped[Told | None]
    reputation_impact: Mapped[str | None]  # LOW or HIGH while SES has findings
    reputation_findings: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    reputation_checked_at: Mapped[datetime | None]
    reputation_tried_at: Mapped[datetime | None]  # the last time that SES did not answer
    reputation_due: Mapped[bool] = mapped_column(default=True)  # an event says that SES's view changed
    # Recipients that may be written to in a minute, an hour, a day of its time zone; None: no such limit.
    per_minute: Mapped[int | None]
    per_hour: Mapped[int | None]
    per_day: Mapped[int | None]
    fallback_policy: Mapped[str] = mapped_column(default="none")
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so


class TenantResource(Base):
    """One thing a tenant needs in AWS, and what was found of it when it was last made or looked for."""

    __tablename__ = "tenant_resources"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # "configuration set", "identity acme-mail.io"
    position: Mapped[int]  # in the plan
    name: Mapped[str]  # its name or ARN in AWS
    state: Mapped[str]  # done, missing, different, failed, unknown
    last_known: Mapped[str | None]  # the last state that was not unknown
    detail: Mapped[Told] = mapped_column(default="")
    checked_at: Mapped[datetime]


class TenantUsage(Base):
    """Recipients that a tenant's calls were granted in one slot of time."""

    __tablename__ = "tenant_usage"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    span: Mapped[str] = mapped_column(primary_key=True)  # minute, hour, day: whose limit it counts for
    slot_at: Mapped[datetime] = mapped_column(primary_key=True)
    recipients: Mapped[int] = mapped_column(default=0)


class WarmUp(Base):
    """A tenant's way from few recipients a day to many: a geometric plan, walked by outcomes."""

    __tablename__ = "warm_ups"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    first_day: Mapped[int]  # recipients on the plan's first day
    last_day: Mapped[int]  # and on its last; after it no limit
    days: Mapped[int]
    step: Mapped[int] = mapped_column(default=0)  # 0 is the first day
    step_since: Mapped[date]  # the day, in the tenant's time zone, since which the step holds
    note: Mapped[Told] = mapped_column(default="")  # why the last step was taken, kept or undone
    started_at: Mapped[datetime]
    started_by: Mapped[str]
    finished_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so
