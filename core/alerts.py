"""Alerts: what a person should know, raised once per cause and kept until the cause has gone."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Alert
from core.db.upsert import insert

logger = logging.getLogger(__name__)


def raise_once(
    session: Session, *, kind: str, cause: str, sentence: str, tenant_id: int | None, at: datetime
) -> bool:
    """True when it is new. While one of the same kind and cause is open, only its sentence is brought up to
    date; two who raise it at once raise one."""
    raised = session.execute(
        insert(session, Alert)
        .values(kind=kind, cause=cause, sentence=sentence, tenant_id=tenant_id, raised_at=at)
        .on_conflict_do_nothing()
        .returning(Alert.id)
    ).first()
    if raised is None:
        session.execute(
            update(Alert).where(_open(kind, cause), Alert.tenant_id == tenant_id).values(sentence=sentence)
        )
        return False
    logger.warning("alert %r of %s, tenant %s", kind, cause, tenant_id)
    return True


def clear(session: Session, *, kind: str, cause: str, at: datetime) -> bool:
    """True when there was one."""
    cleared = session.execute(
        update(Alert).where(_open(kind, cause)).values(cleared_at=at).returning(Alert.id)
    ).first()
    return cleared is not None


def list_open(app: App, actor: Actor, tenant_id: int | None = None) -> list[Alert]:
    """Newest first: one tenant's, or those of every tenant the actor sees. What concerns no tenant is for
    those who see all."""
    actor.must(Action.SEE_TENANT, tenant_id)
    query = select(Alert).where(Alert.cleared_at.is_(None)).order_by(Alert.raised_at.desc(), Alert.id.desc())
    if tenant_id is not None:
        query = query.where(Alert.tenant_id == tenant_id)
    elif actor.tenant_ids is not None:
        query = query.where(Alert.tenant_id.in_(actor.tenant_ids))
    with app.db.read() as session:
        return list(session.scalars(query))


def _open(kind: str, cause: str) -> ColumnElement[bool]:
    return and_(Alert.kind == kind, Alert.cause == cause, Alert.cleared_at.is_(None))
