"""`postyard alerts`, as a script uses it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from core import alerts, notices
from core.access import SYSTEM
from core.app import App
from core.cli import main
from tests.alerting import SECRET, START
from tests.conftest import Cast
from tests.offline import two_tenants
from tests.processes import environment

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def cast(app: App, monkeypatch: pytest.MonkeyPatch) -> Cast:
    for name, value in environment(app).items():
        monkeypatch.setenv(name, value)
    return two_tenants(app)


def run(*arguments: object, typed: str = "") -> Result:
    return CliRunner().invoke(main, ["alerts", *map(str, arguments)], typed, prog_name="postyard")


def test_alerts_are_listed_open_or_all(app: App, cast: Cast) -> None:
    assert run("list").stdout == "No alerts: all is well.\n"
    with app.db.begin() as session:
        for cause, tenant_id in (("1", cast.acme.id), ("2", None)):
            alerts.raise_once(
                session, kind="drift", cause=cause, sentence="It \x1b[2Jdiffers.", tenant_id=tenant_id,
                at=START,
            )  # fmt: skip
        alerts.clear(session, kind="drift", cause="1", at=START)
    assert [row["tenant"] for row in json.loads(run("list", "--json").stdout)] == [None]
    shown = json.loads(run("list", "--all", "--tenant", "acme", "--json").stdout)
    assert [(row["tenant"], row["kind"], row["cleared_at"] is None) for row in shown] == [
        ("acme", "drift", False)
    ]
    assert r"It \x1b[2Jdiffers." in run("list", "--all").stdout
    assert run("list", "--tenant", "nobody").exit_code == 1


def test_channels_are_added_tried_and_removed_and_no_secret_is_an_argument(
    app: App, cast: Cast, tmp_path: Path
) -> None:
    made = json.loads(
        run("add", "--tenant", "acme", "--email", "ann@example.com", "--name", "Nights", "--json").stdout
    )
    assert (made["kind"], made["name"]) == ("email", "Nights")
    url = "https://hooks.acme-mail.io" + SECRET
    added = run("add", "--webhook", "-", typed=url + "\n")
    assert added.exit_code == 0
    file = tmp_path / "address"
    file.write_text("http://127.0.0.1/\n", encoding="utf-8")
    assert run("add", "--webhook", file).exit_code == 1
    assert run("add").exit_code == 1
    listed = run("channels", "--json").stdout + run("channels").stdout + added.output
    assert "…nnel" in listed
    assert "SecretOf" not in listed
    assert [row["tenant"] for row in json.loads(run("channels", "--json").stdout)] == ["acme", None]
    assert [row["id"] for row in json.loads(run("channels", "--tenant", "acme", "--json").stdout)] == [
        made["id"]
    ]

    tried = run("test", made["id"], "--json")
    assert tried.exit_code == 1
    assert "POSTYARD_ALERT_FROM" in json.loads(tried.stdout)["said"]
    assert run("remove", made["id"]).exit_code == 0
    assert run("remove", made["id"]).exit_code == 1
    assert run("test", 999).exit_code == 1
    assert [view.tenant_id for view in notices.list_channels(app, SYSTEM)] == [None]
