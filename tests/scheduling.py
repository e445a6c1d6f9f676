"""Scheduling: what one test process must do alone and in order, when several share the suite.

pytest-xdist's own groups (--dist loadgroup) need a node id that can be written; pytest 9.2 has none.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

# tests/browser/test_send*_steps.py must; for the rest one Chromium and one console are enough: three of each
# only wait for one another.
TOGETHER = ("tests/browser/", "tests/integration/test_console.py::")


class Scheduling(LoadScopeScheduling):
    """Test by test, but for those that share what is dear to start or go on where the one before left off."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in TOGETHER if nodeid.startswith(group)), nodeid)


def make_scheduler(config: Any, log: Any) -> Scheduling:
    return Scheduling(config, log)
