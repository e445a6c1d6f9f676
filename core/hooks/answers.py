"""Answers: what becomes of one request, each with a short word that metrics count and logs name."""

from __future__ import annotations

from enum import StrEnum

from core.errors import PostyardError
from core.events import Ingested


class Done(StrEnum):
    """Nothing more is wanted from the sender."""

    STORED = "stored"
    KNOWN = "known"
    PARKED = "parked"
    CONFIRMED = "confirmed"
    ENDED = "ended"
    IGNORED = "ignored"


class Never(PostyardError):
    """The same request will be refused again. `why`: one of few words, never what the request says."""

    def __init__(self, why: str, status: int = 403) -> None:
        super().__init__(f"The request is refused: {why}.")
        self.why = why
        self.status = status


class Again(PostyardError):
    """Nothing was stored; the same request may do better in a while."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The request could not be answered yet: {why}.")
        self.why = why


def done(ingested: Ingested) -> Done:
    if ingested.stored:
        return Done.STORED
    is_parked = ingested.unmatched or ingested.wrong_tenant or ingested.unreadable
    return Done.PARKED if is_parked else Done.KNOWN
