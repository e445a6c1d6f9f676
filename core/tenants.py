"""Tenants: customers whose mail is kept apart, here and in SES, and whether they may send."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import accounts, audit
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Account, Tenant
from core.db.states import SendingStatus
from core.errors import Conflict, InputError, NotFound, ProviderError
from core.providers.base import Plumbing, TenantState

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
MAX_RESOURCE_NAME = 64  # SES's limit for a configuration set

logger = logging.getLogger(__name__)


def create(app: App, actor: Actor, *, slug: str, name: str, timezone: str = "UTC") -> Tenant:
    """The tenant with everything it needs in SES. Where a step fails, ProviderError says which, and the same
    call again goes on from there; Conflict when the slug is taken."""
    actor.must(Action.CREATE_TENANT)
    slug, name = _checked_slug(slug), _checked_name(name)
    _check_timezone(timezone)
    account = accounts.ensure_platform_account(app)
    app.providers.email(account.region).caller_account_id()  # without AWS nothing is begun
    tenant = _reserve(app, account, slug, name, timezone)
    state = _provision(app, tenant, account)
    return _complete(app, actor, tenant.id, state, "create tenant")


def repair(app: App, actor: Actor, tenant_id: int) -> Tenant:
    """Walk the whole plan again: what is missing in SES, SNS or SQS is made, what is there stays."""
    actor.must(Action.CREATE_TENANT, tenant_id)
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
    state = _provision(app, tenant, accounts.plumb(app))
    return _complete(app, actor, tenant_id, state, "repair tenant")


def list_tenants(app: App, actor: Actor) -> list[Tenant]:
    """Those the actor sees, by name."""
    actor.must(Action.SEE_TENANT)
    query = select(Tenant).order_by(Tenant.name, Tenant.id)
    if actor.tenant_ids is not None:
        query = query.where(Tenant.id.in_(actor.tenant_ids))
    with app.db.read() as session:
        return list(session.scalars(query))


def get_by_slug(app: App, actor: Actor, slug: str) -> Tenant:
    actor.must(Action.SEE_TENANT)
    with app.db.read() as session:
        tenant = _find_by_slug(session, slug)
    if tenant is None or not actor.sees(tenant.id):
        raise NotFound(f"There is no tenant '{slug}'. postyard tenants list shows them.")
    return tenant


def get_tenant(session: Session, tenant_id: int) -> Tenant:
    if tenant := session.get(Tenant, tenant_id):
        return tenant
    raise NotFound("There is no such tenant.")


def pause(app: App, actor: Actor, tenant_id: int, reason: str) -> Tenant:
    """Nothing more leaves for the tenant, mail already queued waits. SES is told after: where it does not
    answer the pause stands all the same, and `sync_due` tells it later."""
    actor.must(Action.PAUSE_TENANT, tenant_id)
    reason = _checked_reason(reason)
    with app.db.begin() as session:
        tenant = get_tenant(session, tenant_id)
        if not disable(session, tenant_id, reason=reason, by=actor.username, at=app.now()):
            raise Conflict(f"{tenant.name} is paused already, by {tenant.paused_by}: {tenant.paused_reason}")
        audit.record(
            session, actor, "pause tenant", tenant.slug, at=app.now(), tenant_id=tenant_id, reason=reason
        )
    return _tell_ses(app, tenant_id)


def resume(app: App, actor: Actor, tenant_id: int, reason: str) -> Tenant:
    """The tenant sends again, and its reputation is judged anew from now."""
    actor.must(Action.RESUME_TENANT, tenant_id)
    reason = _checked_reason(reason)
    with app.db.begin() as session:
        tenant = get_tenant(session, tenant_id)
        if not _enable(session, tenant_id, app.now()):
            raise Conflict(f"{tenant.name} is not paused.")
        audit.record(
            session, actor, "resume tenant", tenant.slug, at=app.now(), tenant_id=tenant_id, reason=reason
        )
    return _tell_ses(app, tenant_id)


def disable(session: Session, tenant_id: int, *, reason: str, by: str, at: datetime) -> bool:
    """Pause, in the caller's transaction: True when this call did it, False when it was paused already.
    Leaves the audit to the caller and SES to `sync_due`."""
    paused = session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.sending_status != SendingStatus.DISABLED)
        .values(
            sending_status=SendingStatus.DISABLED,
            paused_reason=reason,
            paused_by=by,
            paused_at=at,
            ses_status_synced=False,
            version=Tenant.version + 1,
        )
        .returning(Tenant.id)
    )
    return paused.first() is not None


def sync_due(app: App) -> str:
    """Job: tell SES the status of the tenants it does not know yet."""
    with app.db.read() as session:
        waiting = list(
            session.scalars(
                select(Tenant.id).where(~Tenant.ses_status_synced, Tenant.ses_tenant_arn.is_not(None))
            )
        )
    told = sum(_tell_ses(app, tenant_id).ses_status_synced for tenant_id in waiting)
    return f"Told SES the status of {told} of {len(waiting)} tenants."


def _enable(session: Session, tenant_id: int, at: datetime) -> bool:
    resumed = session.execute(
        update(Tenant)
        .where(Tenant.id == tenant_id, Tenant.sending_status == SendingStatus.DISABLED)
        .values(
            sending_status=SendingStatus.ENABLED,
            paused_reason=None,
            paused_by=None,
            paused_at=None,
            resumed_at=at,
            ses_status_synced=False,
            version=Tenant.version + 1,
        )
        .returning(Tenant.id)
    )
    return resumed.first() is not None


def _tell_ses(app: App, tenant_id: int) -> Tenant:
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
    if tenant.ses_tenant_arn is None:
        return tenant
    told = tenant.sending_status
    try:
        app.providers.email(region).set_tenant_sending(
            tenant.ses_tenant_arn, enabled=told != SendingStatus.DISABLED
        )
    except ProviderError as e:
        logger.warning("SES was not told that %s is %s: %s", tenant.slug, told, e)
        return tenant
    with app.db.begin() as session:
        # Paused or resumed while we were talking: SES may have heard the two in either order.
        session.execute(
            update(Tenant)
            .where(Tenant.id == tenant_id)
            .values(ses_status_synced=Tenant.sending_status == told)
        )
        return get_tenant(session, tenant_id)


def _reserve(app: App, account: Account, slug: str, name: str, timezone: str) -> Tenant:
    """The row first, so that whatever exists in SES has an owner here."""
    with one_wins(f"tenant '{slug}'"), app.db.begin() as session:
        tenant = _find_by_slug(session, slug)
        if tenant is None:
            tenant = Tenant(
                account_id=account.id, slug=slug, name=name, timezone=timezone, created_at=app.now()
            )
            session.add(tenant)
        elif tenant.provisioned_at is not None:
            raise Conflict(f"There is a tenant '{slug}' already. Choose another short name.")
        elif tenant.name != name:
            raise Conflict(
                f"Tenant '{slug}' was begun as \"{tenant.name}\" and is not complete. "
                "Repeat with that name, or choose another short name."
            )
        session.flush()
        return tenant


def _provision(app: App, tenant: Tenant, account: Account) -> TenantState:
    """Each step may be repeated; what it made is stored before the next, so a half-made tenant shows it."""
    provider, queue = app.providers.email(account.region), app.providers.queue(account.region)
    name = _resource_name(app, tenant.slug)
    plumbing = _plumbing(account)
    with _step("its SES tenant"):
        state = provider.create_tenant(tenant.slug)
    _store(app, tenant.id, ses_tenant_id=state.tenant_id, ses_tenant_arn=state.arn)
    with _step("its configuration set"):
        configuration_set_arn = provider.create_configuration_set(name)
    _store(app, tenant.id, configuration_set=name)
    with _step("its SNS topic"):
        topic_arn = queue.create_topic(f"{app.settings.resource_prefix}-{tenant.slug}-events", plumbing)
    _store(app, tenant.id, topic_arn=topic_arn)
    with _step("its event destination"):
        provider.create_event_destination(name, topic_arn)
    with _step("the association of its configuration set"):
        provider.associate(tenant.slug, configuration_set_arn)
    return state


def _complete(app: App, actor: Actor, tenant_id: int, state: TenantState, action: str) -> Tenant:
    with one_wins("the tenant"), app.db.begin() as session:
        tenant = get_tenant(session, tenant_id)
        tenant.provisioned_at = tenant.provisioned_at or app.now()
        if tenant.sending_status == SendingStatus.DISABLED and state.sending_status != SendingStatus.DISABLED:
            tenant.ses_status_synced = False  # SES had to make it anew and does not know of the pause
        audit.record(session, actor, action, tenant.slug, at=app.now(), tenant_id=tenant_id)
    return tenant


@contextmanager
def _step(what: str) -> Iterator[None]:
    try:
        yield
    except ProviderError as e:
        e.args = (f"The tenant is not complete: {what} could not be made. {e} Repeat to go on.",)
        raise


def _store(app: App, tenant_id: int, **columns: Any) -> None:
    with app.db.begin() as session:
        session.execute(
            update(Tenant).where(Tenant.id == tenant_id).values(version=Tenant.version + 1, **columns)
        )


def _plumbing(account: Account) -> Plumbing:
    return Plumbing(
        queue_url=account.queue_url or "",
        queue_arn=account.queue_arn or "",
        dead_letter_queue_url=account.dead_letter_queue_url or "",
    )


def _resource_name(app: App, slug: str) -> str:
    name = f"{app.settings.resource_prefix}-{slug}"
    if len(name) <= MAX_RESOURCE_NAME:
        return name
    return f"{name[: MAX_RESOURCE_NAME - 9]}-{sha256(slug.encode()).hexdigest()[:8]}"


def _find_by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug):
        raise InputError(
            f"'{slug}' cannot be a tenant's short name. Use up to 63 small letters, digits and hyphens, "
            "beginning with a letter or digit.",
            field="slug",
        )
    return slug


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise InputError("A tenant needs a name of 1 to 200 characters.", field="name")
    return name


def _check_timezone(timezone: str) -> None:
    try:
        ZoneInfo(timezone)
    except (KeyError, ValueError, OSError) as e:
        raise InputError(
            f"'{timezone}' is no time zone. Use a name such as Asia/Singapore or Europe/Berlin.",
            field="timezone",
        ) from e


def _checked_reason(reason: str) -> str:
    reason = " ".join(reason.split())
    if not reason:
        raise InputError(
            "Say why; the reason is shown to everybody who looks after the tenant.", field="reason"
        )
    return reason[:500]
