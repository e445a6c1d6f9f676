"""Telling: which channels are to hear of an alert, written in the transaction that raises or clears it.

An alert that clears before anybody was told is told to nobody. One that comes back within CALM of clearing is
told only when it has stood for that long: so of what goes on and off more often, people hear once that it
came and once that it went.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, delete, exists, literal, or_, select
from sqlalchemy.orm import Session

from core.db.base import UtcDateTime
from core.db.models import Alert, AlertChannel, AlertNotice
from core.db.upsert import insert

CALM = timedelta(minutes=10)


class News(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"


def tell_raised(session: Session, alert: Alert) -> None:
    at = alert.raised_at
    came_back = session.scalar(
        select(
            exists().where(Alert.kind == alert.kind, Alert.cause == alert.cause, Alert.cleared_at > at - CALM)
        )
    )
    channels = select(AlertChannel.id).where(_listens(alert.tenant_id))
    _write(session, alert.id, News.RAISED, channels, at, at + CALM if came_back else at)


def tell_cleared(session: Session, alert_id: int, at: datetime) -> None:
    raised = (AlertNotice.alert_id == alert_id, AlertNotice.news == News.RAISED)
    session.execute(delete(AlertNotice).where(*raised, AlertNotice.tries == 0, AlertNotice.sent_at.is_(None)))
    told = select(AlertNotice.channel_id).where(
        *raised, or_(AlertNotice.sent_at.is_not(None), AlertNotice.retry_at.is_not(None))
    )
    channels = select(AlertChannel.id).where(AlertChannel.id.in_(told), AlertChannel.is_active)
    _write(session, alert_id, News.CLEARED, channels, at, at)


def _listens(tenant_id: int | None) -> ColumnElement[bool]:
    """A channel of no tenant hears of everything."""
    of_all = AlertChannel.tenant_id.is_(None)
    scope = of_all if tenant_id is None else or_(of_all, AlertChannel.tenant_id == tenant_id)
    return AlertChannel.is_active & scope


def _write(
    session: Session, alert_id: int, news: News, channels: Select[int], at: datetime, due_at: datetime
) -> None:
    rows = channels.add_columns(
        literal(alert_id),
        literal(news.value),
        literal(at, UtcDateTime),
        literal(0),
        literal(due_at, UtcDateTime),
    )
    columns = ["channel_id", "alert_id", "news", "created_at", "tries", "retry_at"]
    session.execute(insert(session, AlertNotice).from_select(columns, rows).on_conflict_do_nothing())
