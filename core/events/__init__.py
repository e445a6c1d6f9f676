"""Events: what SES says about a message, turned into its state, suppressions, counters and pauses.

polling.py receives, ingest.py stores a block with all that follows, matching.py finds the message, fold.py
says what its events amount to and machines.py which of them no person made, counting.py keeps the rollups and
recounting.py counts again by new rules, parking.py keeps what fits nowhere.
"""

from __future__ import annotations

from core.events.heartbeat import beat_due
from core.events.ingest import Ingested, ingest, retry_parked_due
from core.events.lag import LATE_SECONDS, AccountLag, Lag, lag_seconds, measured, seconds_behind, watch_due
from core.events.polling import poll, poll_apart
from core.events.recounting import recount_due

__all__ = [
    "LATE_SECONDS",
    "AccountLag",
    "Ingested",
    "Lag",
    "beat_due",
    "ingest",
    "lag_seconds",
    "measured",
    "poll",
    "poll_apart",
    "recount_due",
    "retry_parked_due",
    "seconds_behind",
    "watch_due",
]
