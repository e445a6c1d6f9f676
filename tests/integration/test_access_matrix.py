"""Every use case called directly by every role, with its own tenant's ids, another tenant's, and none's.

A use case that is not listed in tests/use_cases.py fails the first test: none comes without its action.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import core
from core import (
    campaigns,
    notices,
    onboarding,
    senders,
    suppressions,
    templates,
    tenants,
    users,
)
from core.access import ALLOWED, SYSTEM, Action, Actor, Role
from core.app import App, build_app
from core.db.models import Suppression
from core.errors import InputError, NotFound, PermissionDenied, PostyardError
from core.reports import (
    overview,
)
from core.settings import Settings
from tests.databases import copy_sqlite
from tests.simulators import Simulator
from tests.use_cases import (
    ALL_OF_TENANT,
    CHANNEL,
    CSV,
    MAIL,
    MISSING,
    OF_INSTALLATION,
    REFUSED_ONLY,
    SEES_ALL,
    TESTED_BELOW,
    WITH_ROWS,
    Ids,
    World,
)


@pytest.fixture(scope="module")
def world(
    migrated_sqlite: Path, simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """On SQLite: who may do what does not depend on the database."""
    simulator_process.reset()
    directory = tmp_path_factory.mktemp("matrix")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    app = build_app(Settings.load(database_url=url, data_dir=directory))
    yield World(app, _furnished(app, "acme"), _furnished(app, "globex"))
    app.db.dispose()


def _furnished(app: App, slug: str) -> Ids:
    tenant = tenants.create(app, SYSTEM, slug=slug, name=slug.title())
    sender = senders.add(app, SYSTEM, tenant.id, f"news@{slug}-mail.io")
    made = campaigns.create(app, SYSTEM, tenant.id, name="A", sender_id=sender.id, **MAIL, csv=CSV)
    template = templates.save(app, SYSTEM, tenant.id, "T", "Hi", "<p>Hi</p>", "", {})
    with app.db.begin() as session:
        session.add(Suppression(tenant_id=tenant.id, address=sender.address, reason="BOUNCE", source="event",
                                created_by="postyard", created_at=app.now()))  # fmt: skip
    link, _ = onboarding.create_link(app, SYSTEM, tenant.id, sender.identity_id)
    channel = notices.add(app, SYSTEM, tenant.id, kind=CHANNEL["kind"], target=f"ann@{slug}-mail.io")
    return Ids(tenant.id, slug, sender.id, sender.identity_id, made.campaign_id, template.id, link.id,
               channel.id, sender.address)  # fmt: skip


def somebody(role: Role, world: World) -> Actor:
    seen = None if role in SEES_ALL else frozenset({world.acme.tenant})
    return Actor(username=role.value, role=role, user_id=1, tenant_ids=seen)


def outcome(call: Callable[[], object]) -> PostyardError | None:
    try:
        call()
    except PostyardError as e:
        return e
    return None


def sentence(error: PostyardError | None, ids: Ids) -> tuple[type, str]:
    """The refusal without the names and numbers that were asked for."""
    told = str(error).replace(ids.address, "ADDRESS").replace(f"'{ids.slug}'", "SLUG")
    return type(error), re.sub(r"\d+", "N", told)


def use_cases() -> Iterator[str]:
    for module in pkgutil.walk_packages(core.__path__, "core."):
        if re.search(r"\.(cli|migrations|demo|__main__)\b", module.name):
            continue
        for name, found in vars(importlib.import_module(module.name)).items():
            if not inspect.isfunction(found) or found.__module__ != module.name or name.startswith("_"):
                continue
            if list(inspect.signature(found).parameters)[:2] == ["app", "actor"]:
                yield f"{module.name.removeprefix('core.')}.{name}"


def test_every_use_case_is_in_the_matrix() -> None:
    assert set(use_cases()) == {*ALL_OF_TENANT, *OF_INSTALLATION, *TESTED_BELOW}


def test_every_action_is_asked_for_by_some_use_case() -> None:
    asked = {action for action, _ in [*ALL_OF_TENANT.values(), *OF_INSTALLATION.values()]}
    assert set(Action) - asked == {Action.RELEASE_COMPLAINT}


@pytest.mark.parametrize("name", ALL_OF_TENANT)
@pytest.mark.parametrize("role", Role)
def test_a_role_does_to_its_own_tenant_what_the_table_says(world: World, role: Role, name: str) -> None:
    action, call = ALL_OF_TENANT[name]
    may = role in ALLOWED[action]
    if may and name in REFUSED_ONLY:
        return
    told = outcome(lambda: call(world.app, somebody(role, world), world.acme.tenant, Ids()))
    assert isinstance(told, PermissionDenied) is not may
    if told is not None and may:
        assert isinstance(told, NotFound | InputError)


@pytest.mark.parametrize("name", ALL_OF_TENANT)
@pytest.mark.parametrize("role", sorted(set(Role) - SEES_ALL))
def test_another_tenant_and_no_tenant_are_refused_in_the_same_words(
    world: World, role: Role, name: str
) -> None:
    call, actor = ALL_OF_TENANT[name][1], somebody(role, world)
    foreign = outcome(lambda: call(world.app, actor, world.globex.tenant, world.globex))
    missing = outcome(lambda: call(world.app, actor, MISSING, Ids()))
    assert isinstance(foreign, NotFound)
    assert sentence(foreign, world.globex) == sentence(missing, Ids())


@pytest.mark.parametrize("name", WITH_ROWS)
@pytest.mark.parametrize("role", Role)
def test_another_tenants_row_is_refused_as_one_that_does_not_exist(
    world: World, role: Role, name: str
) -> None:
    """Also for those who see both tenants: a row is looked for in the tenant that is named, nowhere else."""
    action, call = ALL_OF_TENANT[name]
    actor = somebody(role, world)
    if role not in ALLOWED[action]:
        return
    foreign = outcome(lambda: call(world.app, actor, world.acme.tenant, world.globex))
    missing = outcome(lambda: call(world.app, actor, world.acme.tenant, Ids()))
    assert isinstance(foreign, NotFound | InputError)
    assert sentence(foreign, world.globex) == sentence(missing, Ids())


@pytest.mark.parametrize("name", OF_INSTALLATION)
@pytest.mark.parametrize("role", Role)
def test_a_role_does_to_the_installation_what_the_table_says(world: World, role: Role, name: str) -> None:
    action, call = OF_INSTALLATION[name]
    told = outcome(lambda: call(world.app, somebody(role, world)))
    assert isinstance(told, PermissionDenied) is (role not in ALLOWED[action])


@pytest.mark.parametrize("role", sorted(set(Role) - SEES_ALL))
def test_lists_and_look_ups_hold_the_assigned_tenants_alone(world: World, role: Role) -> None:
    app, actor = world.app, somebody(role, world)
    assert [tenant.slug for tenant in tenants.list_tenants(app, actor)] == ["acme"]
    assert [today.tenant.slug for today in overview(app, actor)] == ["acme"]
    for find in (
        lambda ids: campaigns.find_tenant_of(app, actor, ids.campaign),
        lambda ids: tenants.get_by_slug(app, actor, ids.slug),
    ):
        foreign, missing = outcome(lambda: find(world.globex)), outcome(lambda: find(Ids()))  # noqa: B023
        assert isinstance(foreign, NotFound)
        assert sentence(foreign, world.globex) == sentence(missing, Ids())


@pytest.mark.parametrize("role", Role)
def test_only_an_administrator_releases_after_a_complaint(world: World, role: Role) -> None:
    address = f"{role.value}@example.com"
    entry: dict[str, Any] = {"source": "event", "created_by": "postyard", "created_at": world.app.now()}
    with world.app.db.begin() as session:
        session.add(Suppression(tenant_id=world.acme.tenant, address=address, reason="COMPLAINT", **entry))
    told = outcome(lambda: suppressions.release(
        world.app, somebody(role, world), world.acme.tenant, address, "asked"))  # fmt: skip
    assert isinstance(told, PermissionDenied) is (role != Role.ADMIN)


def test_the_command_line_has_no_password_to_change(world: World) -> None:
    with pytest.raises(PermissionDenied):
        users.change_password(world.app, SYSTEM, "old", "a new sentence to remember")
