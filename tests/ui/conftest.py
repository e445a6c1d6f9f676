"""Pages as a person sees them, run by Streamlit's AppTest on the real database (SQLite).

at = console("alice")                        # Home.py with alice signed in; console(None): a stranger
at = open_page(at, "pages/sending/senders.py")
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from core import access, users
from core.access import Role
from core.app import App, AwsProviders, build_app
from core.db.models import User
from core.settings import Settings
from pages._ui import runtime
from pages._ui.session import TOKEN
from tests.databases import copy_sqlite
from tests.offline import make_tenants

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"
Console = Callable[..., AppTest]


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: what differs between databases is tested below the pages."""
    return copy_sqlite(sqlite_template, tmp_path / "postyard.db")


@pytest.fixture
def settings(database_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    dns = {}
    if "simulator" in request.fixturenames:
        dns = {"dns_servers": request.getfixturevalue("simulator").dns}
    return Settings.load(database_url=database_url, data_dir=tmp_path, **dns)


@pytest.fixture(scope="session", autouse=True)
def components_looked_for_once() -> Iterator[None]:
    """Every AppTest reads what every installed package says of itself; that is most of a short one."""
    with pytest.MonkeyPatch.context() as patch:
        once = functools.cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", once)
        yield


@pytest.fixture(autouse=True)
def browser_without_cookies(monkeypatch: pytest.MonkeyPatch) -> None:
    """AppTest answers for the browser with a mock, whose cookies would be mocks; nobody's are none."""
    monkeypatch.setattr("streamlit.runtime.context._get_client_context", lambda: None)


@pytest.fixture
def bare_app(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The App the pages will build for themselves, without the simulator behind it."""
    monkeypatch.setenv("POSTYARD_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("POSTYARD_DATA_DIR", str(settings.data_dir))
    if settings.dns_servers:
        monkeypatch.setenv("POSTYARD_DNS_SERVERS", settings.dns_servers)
    monkeypatch.chdir(ROOT)
    runtime.forget_app()
    PagesManager.uses_pages_directory = False  # as console.py has it; process-global
    app = build_app(settings)
    yield app
    app.db.dispose()
    runtime.get_app().db.dispose()
    runtime.forget_app()


@pytest.fixture
def app(bare_app: App, simulator: object, aws: AwsProviders, monkeypatch: pytest.MonkeyPatch) -> App:
    """The same with the simulator behind it, for pages whose buttons reach SES, through the boto3 clients of
    all tests: they take longer to make than a page to draw."""
    monkeypatch.setattr(runtime, "build_app", lambda: replace(build_app(), providers=aws))
    return replace(bare_app, providers=aws)


@pytest.fixture
def people(bare_app: App) -> Callable[..., User]:
    """Make somebody: people("bob", Role.ACCOUNT_MANAGER, "acme")."""

    def make(username: str, role: Role, *tenant_slugs: str) -> User:
        return users.create(
            bare_app,
            access.SYSTEM,
            username=username,
            name=username.title(),
            role=role,
            password=PASSWORD,
            tenant_slugs=tenant_slugs,
        )[0]

    return make


@pytest.fixture
def console(bare_app: App) -> Console:
    """Open Home.py as somebody who was made with `people`, or as a stranger (None)."""

    def open_home(user: User | None, state: dict[str, str] | None = None, **query: str) -> AppTest:
        at = AppTest.from_file(ROOT / "Home.py", default_timeout=30)
        if user is not None:
            ticket = users.issue_ticket(bare_app, user.id)
            at.session_state[TOKEN] = users.redeem_ticket(bare_app, ticket, None, None)
        for name, value in (state or {}).items():
            at.session_state[name] = value
        for name, value in query.items():
            at.query_params[name] = value
        return at.run()

    return open_home


@pytest.fixture
def two_tenants(bare_app: App) -> None:
    make_tenants(bare_app, "acme", "globex")


def open_page(at: AppTest, path: str) -> AppTest:
    """Go to a page, whether or not the role's menu shows it."""
    at.switch_page(path)
    return at.run()


def said(at: AppTest) -> str:
    """Everything the page says in words, for `in`."""
    kinds = (
        at.title,
        at.subheader,
        at.markdown,
        at.caption,
        at.text,
        at.error,
        at.warning,
        at.success,
        at.info,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)
