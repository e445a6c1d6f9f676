"""What a person gets wrong on the command line: one sentence, no traceback, JSON where it was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from core.app import App
from core.cli import main
from core.db.models import Identity, Tenant
from core.settings import Settings
from tests.databases import copy_sqlite
from tests.simulators import Simulator, free_port

pytestmark = pytest.mark.slow


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    return copy_sqlite(sqlite_template, tmp_path / "postyard.db")


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("POSTYARD_DATA_DIR", str(settings.data_dir))


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(part) for part in arguments], prog_name="postyard")


def refused(*arguments: object) -> str:
    result = run(*arguments, "--json")
    assert result.exit_code in (1, 2)
    assert "Traceback" not in result.output
    sentence: str = json.loads(result.stdout)["error"]
    assert f"Error: {sentence}" in result.stderr
    return sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("campaigns", "status"), "CAMPAIGN"),
        (("campaigns", "status", "abc"), "abc"),
        (("campaigns", "status", "9" * 20), "There is no campaign"),
        (("campaigns", "start", "3000000000"), "There is no campaign"),
        (("tenants", "pause", "acme"), "--reason"),
        (("nonsense",), "nonsense"),
        (("users", "create", "x", "--name", "X", "--role", "king"), "king"),
        (("tenants", "create", "acme", "--name", "\udcff"), "UTF-8"),
    ],
)
def test_wrong_arguments_are_json_too(environment: None, arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(*arguments)


def test_help_and_version_still_end_well() -> None:
    assert run("--help").exit_code == run("--version").exit_code == 0
    assert run("campaigns", "--help").exit_code == 0


@pytest.mark.parametrize("address", ["sqlite:///", "sqlite:///:memory:", "postgresql://127.0.0.1:port/x"])
def test_an_address_that_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", address)
    assert "POSTYARD_DATABASE_URL" in refused("tenants", "list")


def test_a_directory_that_cannot_be_made_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("POSTYARD_DATABASE_URL", f"sqlite:///{tmp_path}/file/postyard.db")
    assert "can be written" in refused("tenants", "list")
    assert "can be written" in refused("migrate")


def test_an_export_that_cannot_be_written_is_a_sentence(
    environment: None, app: App, simulator: Simulator, tmp_path: Path
) -> None:
    assert run("tenants", "create", "acme", "--name", "Acme").exit_code == 0
    assert "Cannot write" in refused("suppressions", "export", "acme", "--output", tmp_path / "no" / "x.csv")


def test_an_import_of_nothing_but_bad_rows_is_refused(
    environment: None, app: App, simulator: Simulator, tmp_path: Path
) -> None:
    assert run("tenants", "create", "acme", "--name", "Acme").exit_code == 0
    bad, mixed = tmp_path / "bad.csv", tmp_path / "mixed.csv"
    bad.write_text("email\nnot-an-address\n")
    mixed.write_text("email\nnot-an-address\nann@example.com\n")
    assert "Line 2" in refused("suppressions", "import", "acme", bad)
    assert "line 2" in run("suppressions", "import", "acme", mixed).stdout


def test_without_aws_neither_tenant_nor_domain_is_begun(
    environment: None, app: App, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("tenants", "create", "acme", "--name", "Acme").exit_code == 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    refused("tenants", "create", "globex", "--name", "Globex")
    refused("senders", "add", "acme", "news@acme-mail.io")
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 1
        assert session.scalar(select(func.count()).select_from(Identity)) == 0
