"""Answers: what providers said of many messages, written in one statement for each kind of answer.

A row is moved only while it still carries the attempt that was called, and never out of a state that an event
has already proved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum, auto
from typing import Any

import orjson
from sqlalchemy import BigInteger, String, bindparam, case, cast, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from core.access import SYSTEM
from core.campaigns.moves import never_sent
from core.db.base import UtcDateTime
from core.db.models import Message
from core.db.states import MessageStatus
from core.plain import visible

Row = tuple[int, str, str | None]  # message, attempt, the provider's id or a reason


class Kind(Enum):
    ACCEPTED = auto()
    NOT_ACCEPTED = auto()
    REFUSED = auto()
    UNKNOWN = auto()


# By another way the next time, unless an earlier attempt may have been taken by this one.
ANY_WAY_AGAIN = case((Message.resent_by.is_(None), null()), else_=Message.provider)
_STILL_OURS = or_(
    Message.status == MessageStatus.SENDING.value, Message.status == MessageStatus.UNKNOWN.value
)
_SENDING = Message.status == MessageStatus.SENDING.value


def write(session: Session, kind: Kind, rows: Sequence[Row], *, at: datetime) -> set[int]:
    """Move the rows; returns those that moved, none of ACCEPTED. Twice is the same, and moves none."""
    name = session.get_bind().dialect.name
    # A provider's words: JSONB takes no NUL and orjson no lone surrogate, and all answers would be lost.
    plain = [(id_, attempt, told and visible(str(told))) for id_, attempt, told in sorted(rows)]
    moved = session.execute(
        _STATEMENTS[name, kind],
        {"told": orjson.dumps(plain).decode(), "to_sent_at": at},
        execution_options={"synchronize_session": False},
    )
    return set() if kind is Kind.ACCEPTED else set(moved.scalars())


def lock(session: Session, message_ids: Iterable[int]) -> None:
    """In the order of their ids, as everybody locks them: what several statements write one after the other
    would be locked in theirs."""
    rows = select(Message.id).where(Message.id.in_(sorted(message_ids))).order_by(Message.id)
    session.execute(rows.with_for_update(key_share=True))


def _statement(dialect: str, kind: Kind) -> Any:
    if dialect == "sqlite":
        told = func.json_each(bindparam("told", type_=String)).table_valued("value", name="told")
    else:
        source = cast(bindparam("told", type_=String), JSONB)
        told = func.jsonb_array_elements(source).table_valued("value", name="told")
    parts = [told.c.value.op("->>")(n) for n in range(3)]
    ours = update(Message).where(
        Message.id == cast(parts[0], BigInteger), Message.attempt == cast(parts[1], String)
    )
    return _moved(ours, kind, cast(parts[2], String))


def _moved(ours: Any, kind: Kind, told: Any) -> Any:
    if kind is Kind.ACCEPTED:
        return ours.where(_STILL_OURS).values(
            status=MessageStatus.SENT.value,
            provider_message_id=told,
            sent_at=bindparam("to_sent_at", type_=UtcDateTime),
            reason=None,
        )
    if kind is Kind.NOT_ACCEPTED:
        return (
            ours.where(_STILL_OURS)
            .values(
                status=MessageStatus.PENDING.value,
                reason=told,
                attempt=None,
                worker=None,
                provider=ANY_WAY_AGAIN,
            )
            .returning(Message.id)
        )
    values = {"status": MessageStatus.UNKNOWN.value, "reason": told}
    if kind is Kind.REFUSED:
        values = never_sent(MessageStatus.FAILED, told, SYSTEM.username)
    return ours.where(_SENDING).values(values).returning(Message.id)


_STATEMENTS = {
    (dialect, kind): _statement(dialect, kind) for dialect in ("sqlite", "postgresql") for kind in Kind
}
