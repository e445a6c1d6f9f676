"""Campaigns: from an uploaded list to a start, and every state between. Sending happens in core/sending.

creating.py makes a draft of a list, moves.py says which state may follow which, pace.py how fast and until
when, directory.py looks them up, views.py shows them with their counts, causes.py names those that their
tenant was paused for."""

from __future__ import annotations

from core.campaigns.causes import Cause, causes_of_pause
from core.campaigns.creating import Created, always_there, check, create
from core.campaigns.directory import find_tenant_of, get_campaign, list_campaigns, list_messages, status
from core.campaigns.moves import (
    ENDED,
    cancel,
    finish_cancelled_due,
    move,
    pause,
    refuse_too_late,
    resume,
    route_of,
    start,
    way_of,
)
from core.campaigns.pace import expire_due, set_pace
from core.campaigns.views import CampaignView

__all__ = [
    "ENDED",
    "CampaignView",
    "Cause",
    "Created",
    "always_there",
    "cancel",
    "causes_of_pause",
    "check",
    "create",
    "expire_due",
    "find_tenant_of",
    "finish_cancelled_due",
    "get_campaign",
    "list_campaigns",
    "list_messages",
    "move",
    "pause",
    "refuse_too_late",
    "resume",
    "route_of",
    "set_pace",
    "start",
    "status",
    "way_of",
]
