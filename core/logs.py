"""Logs: one line per outcome, on stderr, times in UTC."""

from __future__ import annotations

import logging
import time

from core.plain import visible


class OneLine(logging.Formatter):
    """What somebody else wrote cannot begin a line of its own, or turn one around; tracebacks keep theirs."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))


def to_stderr(level: str) -> None:
    """Raises nothing on an unknown level: a wrong POSTYARD_LOG_LEVEL must not stop a process."""
    logging.Formatter.converter = time.gmtime
    known = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    handler = logging.StreamHandler()
    handler.setFormatter(
        OneLine("%(asctime)s %(levelname)s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
    )
    logging.basicConfig(level=known, handlers=[handler])
    # Alembic announces its dialect and APScheduler each run of each job: not an outcome anybody needs.
    for noisy in ("alembic", "apscheduler", "botocore", "urllib3"):
        logging.getLogger(noisy).setLevel(max(known, logging.WARNING))
