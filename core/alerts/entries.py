"""Entries: raised once per cause, cleared with it, listed for those who see the tenant."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, select, update
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.alerts import telling
from core.app import App
from core.db.models import Alert
from core.db.upsert import insert

LONGEST_SENTENCE = 1_000  # strangers' words may be in it: an answer of a server, a name

logger = logging.getLogger(__name__)


def raise_once(
    session: Session, *, kind: str, cause: str, sentence: str, tenant_id: int | None, at: datetime
) -> bool:
    """True when it is new. While one of the same kind and cause is open, only its sentence is brought up to
    date; two who raise it at once raise one. A sentence without an end is cut."""
    if len(sentence) > LONGEST_SENTENCE:
        sentence = sentence[: LONGEST_SENTENCE - 1] + "…"
    raised = session.scalar(
        insert(session, Alert)
        .values(kind=kind, cause=cause, sentence=sentence, tenant_id=tenant_id, raised_at=at)
        .on_conflict_do_nothing()
        .returning(Alert)
    )
    if raised is None:
        session.execute(
            update(Alert).where(_open(kind, cause), Alert.tenant_id == tenant_id).values(sentence=sentence)
        )
        return False
    telling.tell_raised(session, raised)
    logger.warning("alert %r of %s, tenant %s", kind, cause, tenant_id)
    return True


def clear(session: Session, *, kind: str, cause: str, at: datetime) -> bool:
    """True when there was one."""
    cleared = session.scalar(
        update(Alert).where(_open(kind, cause)).values(cleared_at=at).returning(Alert.id)
    )
    if cleared is None:
        return False
    telling.tell_cleared(session, cleared, at)
    return True


def list_open(app: App, actor: Actor, tenant_id: int | None = None) -> list[Alert]:
    """Newest first: one tenant's, or those of every tenant the actor sees. What concerns no tenant is for
    those who see all."""
    query = _seen(actor, tenant_id).where(Alert.cleared_at.is_(None))
    with app.db.read() as session:
        return list(session.scalars(query.order_by(Alert.raised_at.desc(), Alert.id.desc())))


def list_history(
    app: App,
    actor: Actor,
    tenant_id: int | None = None,
    *,
    kind: str | None = None,
    limit: int = 100,
    before_id: int | None = None,
) -> list[Alert]:
    """Open and cleared ones, newest first; `before_id` continues below an alert."""
    query = _seen(actor, tenant_id).order_by(Alert.id.desc()).limit(limit)
    if kind is not None:
        query = query.where(Alert.kind == kind)
    if before_id is not None:
        query = query.where(Alert.id < before_id)
    with app.db.read() as session:
        return list(session.scalars(query))


def _seen(actor: Actor, tenant_id: int | None) -> Select[Alert]:
    actor.must(Action.SEE_TENANT, tenant_id)
    query = select(Alert)
    if tenant_id is not None:
        return query.where(Alert.tenant_id == tenant_id)
    return query if actor.tenant_ids is None else query.where(Alert.tenant_id.in_(actor.tenant_ids))


def _open(kind: str, cause: str) -> ColumnElement[bool]:
    return and_(Alert.kind == kind, Alert.cause == cause, Alert.cleared_at.is_(None))
