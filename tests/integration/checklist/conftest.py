"""A tenant with all its checklist asks for, and what may happen to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

from core import access, checklist, senders
from core.access import Actor
from core.app import App, AwsProviders, build_app
from core.checklist import Item
from core.db.models import TenantResource
from core.settings import Settings
from tests.conftest import Cast, make_cast, verified_sender
from tests.databases import copy_sqlite
from tests.integration.users.conftest import HandClock
from tests.simulators import Simulator

sqlite_alone = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
Change = Callable[[App], None]


class Completed(NamedTuple):
    database: Path
    at: datetime
    cast: Cast


def complete(app: App, simulator: Simulator, cast: Cast) -> App:
    """acme with everything it needs but a test message, an hour ago."""
    clock = HandClock(app.now())
    app = dataclasses.replace(app, clock=clock)
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    senders.set_default(app, access.SYSTEM, cast.acme.id, sender.id)
    clock.advance(seconds=31)
    # What SES only said in answer to the first check is published now, too.
    simulator.put_dns([r.as_json() for r in senders.records(app, access.SYSTEM, cast.acme.id, sender.id)])
    senders.verify_now(app, access.SYSTEM, cast.acme.id, sender.id)
    clock.advance(hours=1)
    return app


@pytest.fixture
def live(app: App, simulator: Simulator, cast: Cast) -> App:
    return complete(app, simulator, cast)


@pytest.fixture(scope="package")
def completed(
    migrated_sqlite: Path,
    simulator_process: Simulator,
    aws: AwsProviders,
    tmp_path_factory: pytest.TempPathFactory,
) -> Completed:
    """Made once: most of these tests only change rows."""
    simulator_process.reset()
    directory = tmp_path_factory.mktemp("checklist")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    settings = Settings.load(database_url=url, data_dir=directory, dns_servers=simulator_process.dns)
    app = dataclasses.replace(build_app(settings), providers=aws)
    cast = make_cast(app)
    at = complete(app, simulator_process, cast).now()
    app.db.dispose()
    return Completed(directory / "postyard.db", at, cast)


@pytest.fixture
def people(completed: Completed) -> Cast:
    return completed.cast


@pytest.fixture
def ready(completed: Completed, aws: AwsProviders, tmp_path: Path) -> Iterator[App]:
    """`complete`, on a copy of its own; SES may have forgotten all about it."""
    url = copy_sqlite(completed.database, tmp_path / "postyard.db")
    settings = Settings.load(database_url=url, data_dir=tmp_path)
    yield (app := dataclasses.replace(build_app(settings), providers=aws, clock=HandClock(completed.at)))
    app.db.dispose()


def clock_of(app: App) -> HandClock:
    assert isinstance(app.clock, HandClock)
    return app.clock


def items(app: App, tenant_id: int, actor: Actor = access.SYSTEM) -> dict[str, Item]:
    return {item.key: item for item in checklist.checklist(app, actor, tenant_id)}


def states(app: App, tenant_id: int) -> dict[str, str]:
    return {key: str(item.state) for key, item in items(app, tenant_id).items()}


def change(model: Any, **values: Any) -> Change:
    def write(app: App) -> None:
        with app.db.begin() as session:
            session.execute(update(model).values(**values))

    return write


def resource(key: str, state: str) -> Change:
    def write(app: App) -> None:
        with app.db.begin() as session:
            session.execute(update(TenantResource).where(TenantResource.key == key).values(state=state))

    return write


def later(**span: float) -> Change:
    return lambda app: clock_of(app).advance(**span)
