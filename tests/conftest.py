"""The cast, the databases and the simulator every test may ask for.

alice operates everything; bob manages acme's account and carol analyses acme; charlie manages globex and
must never see anything of acme; root administers.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from sqlalchemy import select, update

from core import access, senders, tenants
from core.access import Actor, Role
from core.app import App, AwsProviders, build_app
from core.db import engine, migrate
from core.db.engine import Database
from core.db.models import Identity, Sender, Tenant
from core.settings import Settings
from core.users import passwords
from tests.databases import TEMPLATE, OneDialect, PostgresServer, copy_sqlite
from tests.openings import Opening, Openings, wait_for_furnishing
from tests.simulators import Simulator, start_simulator

DATA = Path(__file__).parent / "data"
ROOT = Actor(username="root", role=Role.ADMIN)
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import make_scheduler  # only where pytest-xdist runs the tests

    return make_scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """The lowest cost bcrypt knows: hundreds of tests make users. tests/integration/users has the real one
    back where the cost itself is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "COST", 4)
        yield


@pytest.fixture(scope="session", autouse=True)
def compiled_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "create_engine", OneDialect().create_engine)
        yield


@pytest.fixture(scope="session", autouse=True)
def aws_models_read_once() -> Iterator[None]:
    """Every boto3 session reads megabytes of JSON about the services, most of what making one costs."""
    read = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: read(path))
        yield


@pytest.fixture(scope="session")
def simulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with start_simulator(tmp_path_factory.mktemp("simulator")) as simulator:
        os.environ.update(simulator.environment())
        yield simulator


@pytest.fixture
def simulator(simulator_process: Simulator, request: pytest.FixtureRequest) -> Simulator:
    """The simulator, empty: no tenants but the cast's, no mail, no faults, a fast account out of the
    sandbox."""
    opening = opening_of(request)
    simulator_process.reset(to=opening.kept if opening else None)
    return simulator_process


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "postyard.db"
    db = Database(f"sqlite:///{path}")
    migrate.upgrade(db)
    db.dispose()
    return path


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with PostgresServer.started(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def openings(simulator_process: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Openings:
    return Openings(
        simulator_process,
        tmp_path_factory.mktemp("opening"),
        {"cast": lambda app, _: make_cast(app), "news_sender": make_news_sender},
    )


@pytest.fixture
def opening(openings: Openings, request: pytest.FixtureRequest) -> Opening:
    """What `cast` and `news_sender` ask for, and so make their test's database and simulator begin with."""
    name = "news_sender" if "news_sender" in request.fixturenames else "cast"
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if parameters.get("database_url") == "postgresql":
        return openings.on_postgres(name, request.getfixturevalue("postgres"))
    return openings.on_sqlite(name, request.getfixturevalue("migrated_sqlite"))


def opening_of(request: pytest.FixtureRequest) -> Opening | None:
    return request.getfixturevalue("opening") if "opening" in request.fixturenames else None


@pytest.fixture
def sqlite_template(migrated_sqlite: Path, request: pytest.FixtureRequest) -> Path:
    """Migrated and empty but for the cast."""
    opening = opening_of(request)
    return Path(opening.template) if opening else migrated_sqlite


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database, empty but for the cast; every test that asks for one runs on SQLite and on
    PostgreSQL."""
    if request.param == "sqlite":
        yield copy_sqlite(request.getfixturevalue("sqlite_template"), tmp_path / "postyard.db")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    opening = opening_of(request)
    with server.database(opening.template if opening else TEMPLATE) as url:
        yield url


@pytest.fixture
def settings(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    dns = {}
    if "simulator" in request.fixturenames:
        dns = {"dns_servers": request.getfixturevalue("simulator").dns}
    return Settings.load(database_url=database_url, data_dir=tmp_path, **dns)


@pytest.fixture(scope="session")
def aws(simulator_process: Simulator) -> AwsProviders:
    """boto3's clients, made once for all tests, as a process makes them once."""
    return AwsProviders(Settings.load())


@pytest.fixture
def app(settings: Settings, simulator: Simulator, aws: AwsProviders) -> Iterator[App]:
    """The product's own App: real database, real boto3, the simulator behind it."""
    app = replace(build_app(settings), providers=aws)
    yield app
    wait_for_furnishing()
    app.db.dispose()


@pytest.fixture
def root() -> Actor:
    return ROOT


@pytest.fixture
def alice() -> Actor:
    return Actor(username="alice", role=Role.OPERATOR)


@dataclass(frozen=True)
class Cast:
    """Two tenants with their people, for tests about who sees what."""

    acme: Tenant
    globex: Tenant
    bob: Actor
    carol: Actor
    charlie: Actor


@pytest.fixture
def cast(opening: Opening, simulator: Simulator, app: App) -> Cast:
    return cast_of(tenants.get_by_slug(app, ROOT, "acme"), tenants.get_by_slug(app, ROOT, "globex"))


def make_cast(app: App) -> Cast:
    return cast_of(
        tenants.create(app, ROOT, slug="acme", name="Acme Retail"),
        tenants.create(app, ROOT, slug="globex", name="Globex"),
    )


def cast_of(acme: Tenant, globex: Tenant) -> Cast:
    return Cast(
        acme=acme,
        globex=globex,
        bob=Actor(username="bob", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({acme.id})),
        carol=Actor(username="carol", role=Role.ANALYST, tenant_ids=frozenset({acme.id})),
        charlie=Actor(username="charlie", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({globex.id})),
    )


@pytest.fixture
def news_sender(cast: Cast, app: App) -> Sender:
    """acme's news@acme-mail.io, verified just now."""
    with app.db.begin() as session:
        session.execute(update(Identity).values(checked_at=app.now()))
        return session.scalars(select(Sender)).one()


def make_news_sender(app: App, simulator: Simulator) -> Sender:
    return verified_sender(app, simulator, make_cast(app).acme.id, "news@acme-mail.io")


def verified_sender(app: App, simulator: Simulator, tenant_id: int, address: str) -> Sender:
    """A sender whose DNS is published in the simulator and which SES has verified."""
    sender = senders.add(app, access.SYSTEM, tenant_id, address)
    simulator.put_dns(
        [record.as_json() for record in senders.records(app, access.SYSTEM, tenant_id, sender.id)]
    )
    checked: Any = senders.verify_now(app, access.SYSTEM, tenant_id, sender.id)
    assert checked.verified_for_sending
    return sender
