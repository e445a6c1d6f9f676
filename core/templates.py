"""Templates: named contents of a tenant; each saving is a new version, none is ever changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor
from core.app import App
from core.content import compile_content
from core.db.conflicts import one_wins
from core.db.models import Content, Template
from core.errors import InputError, NotFound
from core.tenants import get_tenant

MAX_NAME = 120


def save(
    app: App,
    actor: Actor,
    tenant_id: int,
    name: str,
    subject: str,
    html: str,
    text: str,
    fallbacks: Mapping[str, str],
) -> Template:
    """A new version under this name; campaigns made from an older one keep theirs. Raises InputError when the
    content cannot be sent, Conflict when somebody saved the same name at the same moment."""
    actor.must(Action.DRAFT_CAMPAIGN, tenant_id)
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME:
        raise InputError(f"Give the template a name of at most {MAX_NAME} characters.", "name")
    compile_content(subject, html, text, fallbacks)
    now = app.now()
    with one_wins(f"template {name}"), app.db.begin() as session:
        get_tenant(session, tenant_id)
        content = store(session, tenant_id, subject, html, text, fallbacks, now)
        template = Template(
            tenant_id=tenant_id,
            name=name,
            version=_latest_version(session, tenant_id, name) + 1,
            content_id=content.id,
            created_by=actor.username,
            created_at=now,
        )
        session.add(template)
        audit.record(
            session, actor, "save template", name, at=now, tenant_id=tenant_id, version=template.version
        )
        return template


def list_templates(app: App, actor: Actor, tenant_id: int) -> list[Template]:
    """The newest version of each, by name."""
    actor.must(Action.SEE_TENANT, tenant_id)
    newest = (
        select(Template.name, func.max(Template.version).label("version"))
        .where(Template.tenant_id == tenant_id)
        .group_by(Template.name)
        .subquery()
    )
    query = (
        select(Template)
        .join(newest, (Template.name == newest.c.name) & (Template.version == newest.c.version))
        .where(Template.tenant_id == tenant_id)
        .order_by(Template.name)
    )
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        return list(session.scalars(query))


def get_content(app: App, actor: Actor, tenant_id: int, template_id: int) -> Content:
    """What this version of a template says."""
    actor.must(Action.SEE_TENANT, tenant_id)
    query = (
        select(Content)
        .join(Template, Template.content_id == Content.id)
        .where(Template.id == template_id, Template.tenant_id == tenant_id, Content.tenant_id == tenant_id)
    )
    with app.db.read() as session:
        content = session.scalars(query).one_or_none()
    if content is None:
        raise NotFound("There is no such template. The Campaigns page lists them.")
    return content


def store(
    session: Session,
    tenant_id: int,
    subject: str,
    html: str,
    text: str,
    fallbacks: Mapping[str, str],
    at: datetime,
) -> Content:
    """Keep a content that was compiled before; its id is set."""
    content = Content(
        tenant_id=tenant_id,
        subject=subject,
        html=html,
        text=text,
        fallbacks=dict(fallbacks),
        created_at=at,
    )
    session.add(content)
    session.flush()
    return content


def _latest_version(session: Session, tenant_id: int, name: str) -> int:
    query = select(func.max(Template.version)).where(Template.tenant_id == tenant_id, Template.name == name)
    return session.scalar(query) or 0
