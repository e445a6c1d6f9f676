"""Models: processes, jobs and alerts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base, Id, Told


class Worker(Base):
    """A scheduler process that sends; the messages of one that stopped beating become unknown."""

    __tablename__ = "workers"
    name: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


class Installation(Base):
    """The one row that tells this database from an older copy of itself, and whether sending is held."""

    __tablename__ = "installation"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]  # random; a new one once a person has said that this copy goes on
    beat: Mapped[int] = mapped_column(BigInteger, default=0)  # counts up while any scheduler lives
    beat_at: Mapped[datetime | None]
    held_at: Mapped[datetime | None]  # nothing is sent until a person lets it go on
    held_reason: Mapped[Told | None]
    complaint_hours: Mapped[float | None]  # median from delivery to complaint, learned; None: too few came
    counting_rules: Mapped[int] = mapped_column(default=0)  # by which opens and clicks are counted
    recounted_event: Mapped[int | None] = mapped_column(BigInteger)  # up to this one; None: all of them


class JobRun(Base):
    """When a job last ran anywhere, and what it said; claimed so that one scheduler runs it at a time."""

    __tablename__ = "job_runs"
    name: Mapped[str] = mapped_column(primary_key=True)
    claimed_until: Mapped[datetime | None]
    claimed_by: Mapped[str | None]  # the run that holds it: no other renews it or lets it go
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[Told] = mapped_column(default="")
    error: Mapped[Told | None]


class Alert(Base):
    """Something a person should know; raised once per cause until it clears."""

    __tablename__ = "alerts"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"), index=True)
    kind: Mapped[str]  # domain broken, drift, paused by AWS
    cause: Mapped[str]  # what it is about, so that it is raised once: "identity 12"
    sentence: Mapped[Told]
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    __table_args__ = (
        Index("uq_alerts_open", "kind", "cause", unique=True,
              sqlite_where=text("cleared_at IS NULL"), postgresql_where=text("cleared_at IS NULL")),
    )  # fmt: skip


class AlertChannel(Base):
    """Where alerts are sent: an e-mail address, or a webhook that takes what Slack's takes."""

    __tablename__ = "alert_channels"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]  # email, webhook
    name: Mapped[str]
    target: Mapped[str] = mapped_column(Text)  # a webhook's address is a secret: encrypted
    digest: Mapped[str | None] = mapped_column(
        unique=True
    )  # of tenant and target, keyed: nobody has it twice
    tenant_id: Mapped[int | None] = mapped_column(ForeignKey("tenants.id"))  # None: every tenant's, and ours
    is_active: Mapped[bool] = mapped_column(default=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]  # its target and digest are gone then
    version: Mapped[int] = mapped_column(default=1)
    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  declared by SQLAlchemy so


class AlertNotice(Base):
    """That an alert was raised or cleared, on its way to one channel."""

    __tablename__ = "alert_notices"
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alert_id: Mapped[int] = mapped_column(ForeignKey("alerts.id"))
    channel_id: Mapped[int] = mapped_column(ForeignKey("alert_channels.id"))
    news: Mapped[str]  # raised, cleared
    created_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None] = mapped_column(index=True)  # None: sent, or given up
    sent_at: Mapped[datetime | None]
    error: Mapped[Told | None]
    __table_args__ = (Index(None, "alert_id", "channel_id", "news", unique=True),)
