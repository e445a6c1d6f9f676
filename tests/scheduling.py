"""Scheduling: what one test process must do alone and in order, when several share the suite.

pytest-xdist's own groups (--dist loadgroup) need a node id that can be written; pytest 9.2 has none.
"""

from __future__ import annotations

from typing import Any

from xdist.scheduler import LoadScopeScheduling

IN_ORDER = {"tests/browser/test_sender_steps.py", "tests/browser/test_sending_steps.py"}


class Scheduling(LoadScopeScheduling):
    """Test by test, but for the modules whose tests go on where the one before left off."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return module if module in IN_ORDER else nodeid


def make_scheduler(config: Any, log: Any) -> Scheduling:
    return Scheduling(config, log)
