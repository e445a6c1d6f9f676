"""Events: what SES says about a message, turned into its state, suppressions, counters and pauses."""

from __future__ import annotations

from core.events.lag import Lag, lag_seconds

__all__ = ["Lag", "lag_seconds"]
