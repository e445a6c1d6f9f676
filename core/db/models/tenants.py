"""Models: tenants, and what each has in AWS."""

from __future__ import annotations

from datetime import datetime
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
