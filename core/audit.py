"""Audit: who did what to what. Rows are only ever added."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import AuditEntry

logger = logging.getLogger(__name__)


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    *,
    at: datetime,
    tenant_id: int | None = None,
    **detail: Any,
) -> None:
    """Add the entry to the caller's transaction, so that what was done and its record stand or fall together.
    `detail` takes counts, names and reasons; never a secret, a message's body or a list of addresses. The log
    gets no address at all."""
    session.add(
        AuditEntry(
            at=at,
            actor=actor.username,
            role=actor.role,
            user_id=actor.user_id,
            tenant_id=tenant_id,
            action=action,
            subject=subject,
            detail=detail,
        )
    )
    shown = "an address" if "@" in subject else subject
    logger.info("%s %s actor=%s tenant=%s", action, shown, actor.username, tenant_id)


def list_entries(
    app: App, actor: Actor, *, tenant_id: int | None = None, limit: int = 100, before_id: int | None = None
) -> list[AuditEntry]:
    """Newest first; `before_id` continues below an entry."""
    actor.must(Action.SEE_AUDIT, tenant_id)
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if tenant_id is not None:
        query = query.where(AuditEntry.tenant_id == tenant_id)
    if before_id is not None:
        query = query.where(AuditEntry.id < before_id)
    with app.db.read() as session:
        return list(session.scalars(query))
