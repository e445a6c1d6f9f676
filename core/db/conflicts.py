"""Conflicts: when two people write the same thing at once, one wins and the other is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from core.errors import Conflict


@contextmanager
def one_wins(what: str) -> Iterator[None]:
    """Goes around `app.db.begin()`; Conflict when a version moved on or a unique name was taken meanwhile."""
    try:
        yield
    except (StaleDataError, IntegrityError) as e:
        raise Conflict(f"Somebody else changed {what} just now. Look again.") from e
