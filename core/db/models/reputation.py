"""Models: what became of the mail, counted as events come, and what tenants are judged by."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db.base import Base


class Counted:
    """Messages, each in one column at most of delivered and the two kinds of bounces, and in one of opened
    (by a person) and opened_by_machine; so with clicks."""

    sent: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[int] = mapped_column(default=0)
    permanent_bounces: Mapped[int] = mapped_column(default=0)
    transient_bounces: Mapped[int] = mapped_column(default=0)
    complaints: Mapped[int] = mapped_column(default=0)
    opened: Mapped[int] = mapped_column(default=0)
    clicked: Mapped[int] = mapped_column(default=0)
    opened_by_machine: Mapped[int] = mapped_column(default=0)
    clicked_by_machine: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)


class DailyCount(Counted, Base):
    """What happened to mail armed on one day of its tenant's time zone, by campaign (0: transactional): a
    bounce next morning counts against its mail. Kept in the transaction that moves the messages."""

    __tablename__ = "daily_counts"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    campaign_id: Mapped[int] = mapped_column(primary_key=True)
    __table_args__ = (Index(None, "tenant_id", "campaign_id"),)


class DomainCount(Counted, Base):
    """The same mail by recipient domain and day."""

    __tablename__ = "domain_counts"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)


class DomainTotal(Base):
    """All mail of a tenant to a recipient domain: by it the largest are found without reading all."""

    __tablename__ = "domain_totals"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    __table_args__ = (Index(None, "tenant_id", "sent"),)


class TenantReputation(Base):
    """A tenant's stream of outcomes since it was last resumed: where it stands."""

    __tablename__ = "tenant_reputations"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    outcomes: Mapped[int] = mapped_column(BigInteger, default=0)
    delivered: Mapped[int] = mapped_column(BigInteger, default=0)
    matured: Mapped[float] = mapped_column(default=0.0)  # of the delivered, when complaint_cusum last moved
    bounce_cusum: Mapped[float] = mapped_column(default=0.0)
    drift_outcomes: Mapped[int] = mapped_column(BigInteger, default=0)  # since bounce_cusum was last 0
    drift_bounces: Mapped[int] = mapped_column(BigInteger, default=0)
    complaint_cusum: Mapped[float] = mapped_column(default=0.0)


class OutcomeBucket(Base):
    """A hundred outcomes of a tenant that came one after the other, if there was bad news among them: number
    0 are the first hundred. The last of them make a window."""

    __tablename__ = "outcome_buckets"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    permanent_bounces: Mapped[int] = mapped_column(default=0)
    domains: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of the recipients who bounced: how many


class CampaignReputation(Base):
    """A campaign's outcomes since its tenant was last resumed."""

    __tablename__ = "campaign_reputations"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), index=True)
    outcomes: Mapped[int] = mapped_column(default=0)
    permanent_bounces: Mapped[int] = mapped_column(default=0)
    delivered: Mapped[int] = mapped_column(default=0)
    complaints: Mapped[int] = mapped_column(default=0)
    domains: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of those who bounced: the first fifty
    last_at: Mapped[datetime]  # when the newest of them came


class DeliveredHour(Base):
    """Delivered mail by the hour it was armed in, and the complaints about it: these come hours after, so
    young mail counts in part. Kept for a month."""

    __tablename__ = "delivered_hours"
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    campaign_id: Mapped[int] = mapped_column(primary_key=True)  # 0: transactional
    hour_at: Mapped[datetime] = mapped_column(primary_key=True)
    delivered: Mapped[int] = mapped_column(default=0)
    complaints: Mapped[int] = mapped_column(default=0)
