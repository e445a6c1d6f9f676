"""The command line as a script uses it: --json on stdout, one sentence on stderr, exit codes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from core.app import App
from core.cli import main
from core.db.states import MessageStatus
from core.settings import Settings
from tests.conftest import DATA, verified_sender
from tests.databases import copy_sqlite
from tests.simulators import Simulator, free_port

pytestmark = pytest.mark.slow

Run = Callable[..., Result]
Call = Callable[..., Any]
NEWS = "news@acme-mail.io"
HTML = "<p>Hello {{first_name}}</p>"
PEOPLE = "email,first_name\nann@example.com,Ann\nbert@example.org,Bert\n"


@pytest.fixture
def database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """SQLite alone: the use cases behind the commands are tested on both."""
    return copy_sqlite(sqlite_template, tmp_path / "postyard.db")


@pytest.fixture
def environment(app: App, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("POSTYARD_DATA_DIR", str(settings.data_dir))
    monkeypatch.setenv("POSTYARD_DNS_SERVERS", settings.dns_servers)
    monkeypatch.setenv("POSTYARD_PUBLIC_URL", "https://mail.postyard.io")


@pytest.fixture
def run(environment: None) -> Run:
    def run(*arguments: object, stdin: str | None = None) -> Result:
        return CliRunner().invoke(main, [str(part) for part in arguments], input=stdin, prog_name="postyard")

    return run


@pytest.fixture
def call(run: Run) -> Call:
    """A command that must succeed; what it printed as JSON."""

    def call(*arguments: object, stdin: str | None = None) -> Any:
        result = run(*arguments, "--json", stdin=stdin)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return call


@pytest.fixture
def sender(app: App, simulator: Simulator, call: Call) -> str:
    """Tenant acme with a verified sender."""
    acme = call("tenants", "create", "acme", "--name", "Acme Retail")
    verified_sender(app, simulator, acme["id"], NEWS)
    return NEWS


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    content = {"mail.html": HTML, "people.csv": PEOPLE}
    for name, text in content.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return {name: tmp_path / name for name in content}


def draft(files: dict[str, Path], **changed: object) -> list[object]:
    options: dict[str, object] = {
        "name": "Spring",
        "sender": NEWS,
        "subject": "Hello {{first_name}}",
        "html": files["mail.html"],
        "csv": files["people.csv"],
    }
    given = options | changed
    return ["campaigns", "create", "acme", *(part for name in given for part in (f"--{name}", given[name]))]


def refused(result: Result, code: int = 1) -> str:
    """The sentence; nothing but it on stderr, no traceback anywhere."""
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("Error: ")
    assert len(result.stderr.strip().splitlines()) == 1
    return result.stderr.removeprefix("Error: ").strip()


def test_a_tenant_is_created_listed_paused_and_resumed(call: Call, run: Run) -> None:
    made = call("tenants", "create", "acme", "--name", "Acme Retail", "--timezone", "Europe/Berlin")
    assert (made["slug"], made["name"], made["sending_status"]) == ("acme", "Acme Retail", "ENABLED")
    assert made["provisioned_at"]

    paused = call("tenants", "pause", "acme", "--reason", "The customer asked")
    assert (paused["sending_status"], paused["paused_reason"]) == ("DISABLED", "The customer asked")

    assert call("tenants", "resume", "acme", "--reason", "Settled")["sending_status"] != "DISABLED"
    assert [tenant["slug"] for tenant in call("tenants", "list")] == ["acme"]
    assert "Acme Retail" in run("tenants", "list").stdout


def test_a_sender_goes_from_address_to_verified(call: Call, run: Run, simulator: Simulator) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("senders", "add", "acme", NEWS, "--name", "Acme News")

    records = call("senders", "records", "acme", NEWS)
    assert {"type", "name", "value", "purpose", "required"} <= set(records[0])
    simulator.call("PUT", "/_sim/dns", records)

    assert call("senders", "verify", "acme", NEWS)["verified_for_sending"]
    assert call("senders", "default", "acme", NEWS)["is_default"]
    assert [sender["address"] for sender in call("senders", "list", "acme")] == [NEWS]
    call("senders", "delete", "acme", NEWS)
    assert call("senders", "list", "acme") == []


def test_verifying_without_dns_ends_with_one(call: Call, run: Run) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("senders", "add", "acme", NEWS)

    result = run("senders", "verify", "acme", NEWS)

    assert result.exit_code == 1
    assert "postyard senders records acme" in result.stdout


def test_a_campaign_goes_from_file_to_delivered(
    call: Call, sender: str, files: dict[str, Path], simulator: Simulator
) -> None:
    created = call(*draft(files))
    assert {key: created[key] for key in ("accepted", "rejected", "duplicates")} == {
        "accepted": 2,
        "rejected": 0,
        "duplicates": 0,
    }

    started = call("campaigns", "start", created["id"])
    assert started["status"] == "SENDING"
    assert call("work", "--until-idle", "--seconds", 60)["idle"]

    status = call("campaigns", "status", created["id"])
    assert list(status) == ["id", "status", "provider", "counts"]
    assert list(status["counts"]) == [name.value for name in MessageStatus]
    assert (status["status"], status["provider"], status["counts"]["delivered"]) == ("SENT", "ses", 2)
    assert sorted(message["subject"] for message in simulator.messages()) == ["Hello Ann", "Hello Bert"]


def test_a_campaign_is_paused_resumed_and_cancelled(call: Call, sender: str, files: dict[str, Path]) -> None:
    campaign = call(*draft(files))["id"]
    call("campaigns", "start", campaign)

    assert call("campaigns", "pause", campaign)["status"] == "PAUSED"
    assert call("campaigns", "resume", campaign)["status"] == "SENDING"
    cancelled = call("campaigns", "cancel", campaign)

    assert (cancelled["status"], cancelled["counts"]["cancelled"]) == ("CANCELLED", 2)


def test_bad_rows_are_reported_and_the_others_stored(
    call: Call, run: Run, sender: str, files: dict[str, Path]
) -> None:
    rows = "E-Mail;Vorname\nann@example.com;Ann\nnobody;Jos\xe9\nANN@example.com;Ann\nj@example.net;J\xf6rg\n"
    files["people.csv"].write_bytes(rows.encode("latin-1"))
    files["mail.html"].write_text(f'{HTML}<a href="{{{{unsubscribe_url}}}}">No more</a>', encoding="utf-8")
    arguments = [*draft(files), "--map", "email=E-Mail", "--map", "first_name=Vorname"]

    checked = call(*arguments, "--check")
    assert call("campaigns", "list", "acme") == []
    created = call(*arguments)

    assert checked == created | {"id": None}
    assert (created["accepted"], created["rejected"], created["duplicates"]) == (2, 1, 1)
    assert [(fault["line"], fault["value"]) for fault in created["rejections"]] == [(3, "nobody")]
    assert "line 3" in run(*arguments, "--check").stdout


def test_a_list_of_another_country_is_read_as_its_columns_are_named(
    call: Call, sender: str, files: dict[str, Path]
) -> None:
    dirty = DATA / "recipients_dirty_latin1.csv"
    arguments = [*draft(files, csv=dirty), "--map", "email=E-Mail", "--fallback", "first_name=you"]

    created = call(*arguments, "--map", "first_name=Vorname")

    rows = len(dirty.read_text(encoding="latin-1").splitlines()) - 1
    assert created["accepted"] + created["rejected"] + created["duplicates"] <= rows
    assert created["accepted"] > 1000
    assert created["rejected"] == len(created["rejections"]) > 0
    assert created["duplicates"] > 0
    assert all(fault["line"] > 1 and fault["reason"] for fault in created["rejections"])
    assert sum(call("campaigns", "status", created["id"])["counts"].values()) == created["accepted"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"name,city\nAnn,Bonn\n", "--map email=COLUMN"),
        (b"PK\x03\x04rubbish", ""),
        (b"email,first_name\nnobody,Ann\n", "line 2"),
    ],
    ids=["empty file", "no e-mail column", "a zip", "no row left"],
)
def test_a_file_that_cannot_be_used_stores_nothing(
    call: Call, run: Run, sender: str, files: dict[str, Path], content: bytes, words: str
) -> None:
    files["people.csv"].write_bytes(content)

    result = run(*draft(files), "--json")

    assert words in refused(result)
    assert json.loads(result.stdout) == {"error": refused(result)}
    assert call("campaigns", "list", "acme") == []


def test_a_mapping_without_its_two_sides_is_refused(run: Run, sender: str, files: dict[str, Path]) -> None:
    for option in ("nosign", "=value", "name="):
        assert "NAME=VALUE" in refused(run(*draft(files), "--map", option))


def test_an_unverified_sender_sends_nothing(
    call: Call, run: Run, simulator: Simulator, files: dict[str, Path]
) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("senders", "add", "acme", NEWS)
    campaign = call(*draft(files))["id"]

    assert "verif" in refused(run("campaigns", "start", campaign))
    assert call("campaigns", "status", campaign)["status"] == "DRAFT"


@pytest.mark.parametrize(
    "arguments",
    [
        ("senders", "list", "nobody"),
        ("suppressions", "list", "nobody"),
        ("tenants", "pause", "nobody", "--reason", "x"),
    ],
)
def test_an_unknown_tenant_is_named_with_what_to_do(run: Run, arguments: tuple[str, ...]) -> None:
    assert "postyard tenants list" in refused(run(*arguments))


def test_an_unknown_campaign_or_sender_is_refused(run: Run, call: Call) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")

    refused(run("campaigns", "status", 4711))
    refused(run("senders", "records", "acme", "nobody@acme-mail.io"))
    refused(run("senders", "add", "acme", "not an address"))


def test_one_mail_is_sent_to_one_person(
    call: Call, sender: str, files: dict[str, Path], simulator: Simulator
) -> None:
    arguments = ["--sender", NEWS, "--to", "ann@example.com", "--subject", "Hi", "--html", files["mail.html"]]
    queued = call("send", "acme", *arguments, "--field", "first_name=Ann")
    call("work", "--until-idle", "--seconds", 60)

    assert queued["status"] == "pending"
    (message,) = simulator.messages()
    assert "<p>Hello Ann</p>" in message["html"]


def test_suppressions_are_added_listed_moved_and_released(call: Call, run: Run, tmp_path: Path) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("tenants", "create", "globex", "--name", "Globex")
    call("suppressions", "add", "acme", "ann@example.com", "--note", "Asked on the phone")
    (row,) = call("suppressions", "list", "acme")
    assert (row["address"], row["reason"], row["note"]) == ("ann@example.com", "MANUAL", "Asked on the phone")

    exported = tmp_path / "suppressed.csv"
    call("suppressions", "export", "acme", "--output", exported)
    assert run("suppressions", "export", "acme").stdout == exported.read_text(encoding="utf-8")
    assert len(call("suppressions", "export", "acme")) == 1
    assert call("suppressions", "import", "globex", exported)["added"] == 1

    call("suppressions", "release", "acme", "ann@example.com", "--reason", "Asked to come back")
    assert call("suppressions", "list", "acme") == []
    assert len(call("suppressions", "list", "globex")) == 1


def test_a_user_gets_a_password_that_is_shown_once(call: Call, run: Run) -> None:
    made = call("users", "create", "dana", "--name", "Dana", "--role", "operator")
    given = call(
        "users", "create", "erin", "--name", "Erin", "--role", "admin", "--password-stdin",
        stdin="correct horse battery staple\n",
    )  # fmt: skip

    assert len(made["password"]) >= 12
    assert (made["must_change_password"], given["password"]) == (True, None)
    call("users", "disable", "dana")
    disabled = {user["username"]: bool(user["disabled_at"]) for user in call("users", "list")}
    assert disabled == {"dana": True, "erin": False}
    assert made["password"] not in run("users", "list", "--json").stdout


def test_events_lag_is_a_number_of_seconds(call: Call) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")

    assert any(name.endswith("seconds") for name in call("events", "lag"))


def test_the_doctor_says_what_to_start_and_sees_the_sandbox(run: Run, simulator: Simulator) -> None:
    result = run("doctor", "--json")
    verdicts = {check["name"]: check["verdict"] for check in json.loads(result.stdout)}

    assert (result.exit_code, verdicts["scheduler"]) == (1, "fail")
    assert {verdicts[name] for name in ("database", "ses", "dns")} == {"ok"}
    simulator.scenario(account={"production_access": False})
    assert "sandbox" in run("doctor").stdout


def test_without_aws_nothing_is_half_done(
    run: Run, call: Call, monkeypatch: pytest.MonkeyPatch, app: App
) -> None:
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        refused(run("tenants", "create", "acme", "--name", "Acme Retail"))

    assert call("tenants", "create", "acme", "--name", "Acme Retail")["provisioned_at"]


def test_without_credentials_a_sentence_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)

    assert "credentials" in refused(run("tenants", "create", "acme", "--name", "Acme Retail"))


def test_without_a_database_a_sentence_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", f"postgresql://nobody:s3cret@127.0.0.1:{free_port()}/none")

    result = run("tenants", "list")

    assert "POSTYARD_DATABASE_URL" in refused(result, code=2)
    assert "s3cret" not in result.output


def test_an_unmigrated_database_is_migrated_on_request(
    run: Run, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", f"sqlite:///{tmp_path / 'new' / 'postyard.db'}")

    assert "postyard migrate" in refused(run("tenants", "list"), code=2)
    assert call("migrate") == call("migrate")
    assert call("tenants", "list") == []


def test_wrong_settings_are_told_all_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_SEND_THREADS", "many")
    monkeypatch.setenv("POSTYARD_COLOUR", "green")

    sentence = refused(run("tenants", "list"), code=2)

    assert "POSTYARD_SEND_THREADS" in sentence
    assert "POSTYARD_COLOUR" in sentence
