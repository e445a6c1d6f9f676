"""What must not be found where others look: in logs, error texts, file modes and what settings print."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import pytest
from sqlalchemy import text

from core import audit, logs, suppressions, users
from core.access import SYSTEM, Role
from core.app import App, build_app
from core.db.engine import Database
from core.errors import ConfigurationError
from core.logs import OneLine
from core.settings import Settings
from tests.conftest import Cast

CANARY = "canary-4f1d-secret-value-that-nobody-may-see"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_database_and_the_secret_key_are_their_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "postyard.db"
    app = build_app(Settings.load(database_url=f"sqlite:///{path}", data_dir=path.parent))
    with app.db.begin() as session:
        session.execute(text("CREATE TABLE secrets (id INTEGER)"))
    app.secret_key()

    assert {mode(found) for found in path.parent.iterdir()} == {0o600}
    assert {found.name for found in path.parent.iterdir()} >= {"postyard.db", "postyard.db-wal", "secret_key"}
    app.db.dispose()


def test_settings_and_their_faults_never_show_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.load(
        database_url=f"postgresql://postyard:{CANARY}@127.0.0.1:1/postyard", secret_key=CANARY
    )
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump()}"
    monkeypatch.setenv("POSTYARD_DATABASE_URL", f"mysql://{CANARY}")
    monkeypatch.setenv("POSTYARD_SECRET_KEY", CANARY[:20])
    with pytest.raises(ConfigurationError) as told:
        Settings.load()
    assert CANARY[:20] not in str(told.value)
    unreachable = Database(settings.database_url.get_secret_value())
    with pytest.raises(ConfigurationError) as told:
        unreachable.check()
    assert CANARY not in f"{told.value} {told.value.__cause__}"


def test_the_log_holds_no_address_password_ticket_or_token(
    app: App, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    logs.to_stderr("DEBUG")  # as talkative as an operator can make it
    caplog.set_level(logging.DEBUG)
    user, _ = users.create(app, SYSTEM, username="dora", name="Dora", role=Role.ADMIN, password=CANARY)
    users.check_password(app, "dora", CANARY, "203.0.113.9")
    ticket = users.issue_ticket(app, user.id)
    token = users.redeem_ticket(app, ticket, "203.0.113.9", CANARY)
    users.find_sign_in(app, token)
    suppressions.add(app, SYSTEM, cast.acme.id, "ann@example.com", "asked by telephone")
    suppressions.release(app, SYSTEM, cast.acme.id, "ann@example.com", "asked again")

    for secret in (CANARY, ticket, token, "ann@example.com", "203.0.113.9", str(user.password_hash)):
        assert secret not in caplog.text


def test_what_is_typed_into_the_wrong_field_is_kept_nowhere_but_in_the_count(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(5):
        assert users.check_password(app, f"{CANARY}\nGET /", "x", None) is None

    entries = audit.list_entries(app, SYSTEM)
    assert [(entry.action, entry.subject) for entry in entries] == [("lock sign-in", "an unknown user")]
    assert CANARY not in caplog.text


def test_a_username_may_hold_any_sign_without_a_fault(app: App) -> None:
    for username in ("\x00", "dora\x00", "a\nb", "\u202edora", "x" * 10_000, "' OR 1=1 --"):
        assert users.check_password(app, username, "wrong horse battery", None) is None


def test_what_others_wrote_is_one_line_of_the_log() -> None:
    record = logging.LogRecord(
        "a", logging.INFO, "f", 1, "name %s", ("x\nINFO root\r\x1b[2J\u202e\u2028y",), None
    )
    assert OneLine("%(message)s").format(record) == r"name x\nINFO root\r\x1b[2J\u202e\u2028y"
