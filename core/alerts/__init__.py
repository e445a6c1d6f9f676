"""Alerts: what a person should know, raised once per cause and kept until the cause has gone.

entries.py raises, clears and lists them; telling.py writes, in the same transaction, which channels are told
(core.notices sends it); kinds.py says which page of the console helps.
"""

from __future__ import annotations

from core.alerts.entries import clear, list_history, list_open, raise_once
from core.alerts.kinds import PAGE_OF
from core.alerts.telling import News

__all__ = ["PAGE_OF", "News", "clear", "list_history", "list_open", "raise_once"]
