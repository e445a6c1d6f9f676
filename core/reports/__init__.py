"""Reports: what pages and the command line show. Read from rollups and indexes, whatever the volume."""

from __future__ import annotations

from core.reports.counts import Counts, DayRates
from core.reports.dry_run import DryRun, WouldHave, dry_run
from core.reports.health import Health, health
from core.reports.messages import MessageStory, RecentEvent, find_messages, recent_events
from core.reports.overview import TenantToday, overview
from core.reports.pauses import Pause, pauses
from core.reports.rates import (
    CampaignRates,
    DomainRates,
    ProviderRates,
    by_campaign,
    by_domain,
    by_provider,
    rates,
)

__all__ = [
    "CampaignRates",
    "Counts",
    "DayRates",
    "DomainRates",
    "DryRun",
    "Health",
    "MessageStory",
    "Pause",
    "ProviderRates",
    "RecentEvent",
    "TenantToday",
    "WouldHave",
    "by_campaign",
    "by_domain",
    "by_provider",
    "dry_run",
    "find_messages",
    "health",
    "overview",
    "pauses",
    "rates",
    "recent_events",
]
