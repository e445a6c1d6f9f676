"""A clock in the hand of the test, two tenants, and dora, who signs in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from core import audit, users
from core.access import Actor, Role
from core.app import App, build_app
from core.db.models import Account, Tenant, User
from core.settings import Settings
from core.users import passwords

PASSWORD = "correct horse battery"
WRONG = "incorrect horse battery"
REAL_COST = passwords.COST  # as it is before a test runs: tests/conftest.py lowers it


@dataclass
class HandClock:
    at: datetime = field(default_factory=lambda: datetime(2026, 11, 2, 9, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.advance(seconds=seconds)

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


@pytest.fixture
def real_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "COST", REAL_COST)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def app(settings: Settings, clock: HandClock) -> Iterator[App]:
    """Signing in needs no provider: this app is never told where one is."""
    app = replace(build_app(settings), clock=clock)
    yield app
    app.db.dispose()


@pytest.fixture
def tenants(app: App) -> dict[str, int]:
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        made = [
            Tenant(account_id=account.id, slug=slug, name=slug.title(), created_at=app.now())
            for slug in ("acme", "globex")
        ]
        session.add_all(made)
        session.flush()
        return {tenant.slug: tenant.id for tenant in made}


@pytest.fixture
def dora(app: App, root: Actor) -> User:
    """An operator with a password of her own."""
    user, made = users.create(
        app, root, username="dora", name="Dora Dahl", role=Role.OPERATOR, password=PASSWORD
    )
    assert made is None
    return user


def signed_in(app: App, user: User) -> str:
    return users.redeem_ticket(app, users.issue_ticket(app, user.id), "192.0.2.7", "Browser/1")


def fail(app: App, username: str, times: int, ip: str | None = None) -> None:
    for _ in range(times):
        assert users.check_password(app, username, WRONG, ip) is None


def audited(app: App, root: Actor) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in audit.list_entries(app, root)]
