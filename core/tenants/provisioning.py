"""Provisioning: walking the plan; each step is stored when it is made or refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from core import accounts, audit
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Account, Tenant
from core.db.states import ResourceState
from core.errors import Conflict, InputError, ProviderError
from core.tenants import resources
from core.tenants.directory import find_by_slug, lock_tenant
from core.tenants.plan import DONE, NOT_TRIED, PLAN, Found, Seen, Step, look_at, place_of, things_of

SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


def create(app: App, actor: Actor, *, slug: str, name: str, timezone: str = "UTC") -> Tenant:
    """The tenant with everything it needs in SES. Where a step fails, ProviderError says which, and the same
    call again goes on from there; Conflict when the slug is taken."""
    actor.must(Action.CREATE_TENANT)
    slug, name = _checked_slug(slug), _checked_name(name)
    _check_timezone(timezone)
    account = accounts.ensure_platform_account(app)
    app.providers.email(account.region).caller_account_id()  # without AWS nothing is begun
    tenant, is_new = _reserve(app, account, slug, name, timezone)
    found = {} if is_new else {seen.key: seen.found for seen in inspect(app, tenant.id)}
    make(app, tenant.id, found)
    return complete(app, tenant.id, "create tenant", by=actor)


def check_new(app: App, actor: Actor, *, slug: str, name: str, timezone: str = "UTC") -> None:
    """Raises what `create` refuses before it begins anything; asks nobody but the database."""
    actor.must(Action.CREATE_TENANT)
    slug, name = _checked_slug(slug), _checked_name(name)
    _check_timezone(timezone)
    with app.db.read() as session:
        _refuse_taken(find_by_slug(session, slug), name)


def repair(app: App, actor: Actor, tenant_id: int) -> Tenant:
    """What is missing or different in SES, SNS, SQS or EventBridge is made or mended, what is there stays.
    The tenant's identities are `drift.repair`'s."""
    actor.must(Action.REPAIR_TENANT, tenant_id)
    made = make(app, tenant_id, {seen.key: seen.found for seen in inspect(app, tenant_id)})
    return complete(app, tenant_id, "repair tenant", by=actor, mended=made)


def inspect(app: App, tenant_id: int) -> list[Seen]:
    """Look at every step of the plan, change and keep nothing."""
    return look_at(things_of(place_of(app, tenant_id)))


def make(app: App, tenant_id: int, found: Mapping[str, Found]) -> list[str]:
    """Make or mend, in order, what is not done, and say what it was; a step that is not in `found` was never
    tried. The first that is refused ends it with ProviderError."""
    place = place_of(app, tenant_id)
    with app.db.begin() as session:
        for position, step in enumerate(PLAN):
            seen = Seen(step.key, step.name(place), found.get(step.key, NOT_TRIED))
            resources.keep(session, tenant_id, position, seen, app.now())
    wanting = [step for step in PLAN if found.get(step.key, NOT_TRIED).state != ResourceState.DONE]
    for step in wanting:
        _make_step(app, tenant_id, PLAN.index(step), step)
    return [step.key for step in wanting]


def complete(app: App, tenant_id: int, action: str, *, by: Actor, mended: Sequence[str] = ()) -> Tenant:
    """Everything is made: mail may be sent from now on. Recorded for whoever completed it first, and whenever
    something of a complete one was mended."""
    with app.db.begin() as session:
        tenant = lock_tenant(session, tenant_id)
        if tenant.provisioned_at is not None and not mended:
            return tenant
        tenant.provisioned_at = tenant.provisioned_at or app.now()
        detail = {"mended": list(mended)} if mended else {}
        audit.record(session, by, action, tenant.slug, at=app.now(), tenant_id=tenant_id, **detail)
    return tenant


def _make_step(app: App, tenant_id: int, position: int, step: Step) -> None:
    place = place_of(app, tenant_id)  # with what the steps before it have stored
    try:
        step.make(place)
    except ProviderError as e:
        _keep(app, tenant_id, position, Seen(step.key, step.name(place), _failed(e)))
        e.args = (f"The tenant is not complete: its {step.key} could not be made. {e} Repeat to go on.",)
        raise
    _keep(app, tenant_id, position, Seen(step.key, step.name(place), DONE))


def _failed(error: ProviderError) -> Found:
    return Found(ResourceState.FAILED, str(error))


def _keep(app: App, tenant_id: int, position: int, seen: Seen) -> None:
    with app.db.begin() as session:
        resources.keep(session, tenant_id, position, seen, app.now())


def _reserve(app: App, account: Account, slug: str, name: str, timezone: str) -> tuple[Tenant, bool]:
    """The row first, so that whatever exists in SES has an owner here; True: it is new."""
    with one_wins(f"tenant '{slug}'"), app.db.begin() as session:
        tenant = find_by_slug(session, slug)
        if tenant is None:
            tenant = Tenant(
                account_id=account.id, slug=slug, name=name, timezone=timezone, created_at=app.now()
            )
            session.add(tenant)
            session.flush()
            return tenant, True
        _refuse_taken(tenant, name)
        return tenant, False


def _refuse_taken(tenant: Tenant | None, name: str) -> None:
    """One that is half-made is nobody's but its own name's."""
    if tenant is None:
        return
    if tenant.provisioned_at is not None:
        raise Conflict(f"There is a tenant '{tenant.slug}' already. Choose another short name.")
    if tenant.name != name:
        raise Conflict(
            f"Tenant '{tenant.slug}' was begun as \"{tenant.name}\" and is not complete. "
            "Repeat with that name, or choose another short name."
        )


def _checked_slug(slug: str) -> str:
    if not SLUG.fullmatch(slug):
        wrong = f"'{slug}' cannot be a tenant's short name." if slug else "A tenant needs a short name."
        raise InputError(
            f"{wrong} Use up to 63 small letters, digits and hyphens, beginning with a letter or digit.",
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
