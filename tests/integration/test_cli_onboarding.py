"""`postyard onboarding` and `postyard checklist`, as a script uses them."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from core import access, onboarding, senders
from core.app import App
from core.cli import main
from core.errors import NotFound
from tests.conftest import Cast, verified_sender
from tests.processes import environment
from tests.simulators import Simulator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture(autouse=True)
def variables(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(app).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("POSTYARD_PUBLIC_URL", "https://mail.postyard.io")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(part) for part in arguments], prog_name="postyard")


def test_a_link_is_made_listed_and_revoked(app: App, cast: Cast) -> None:
    senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")

    made = json.loads(run("onboarding", "link", "acme", "acme-mail.io", "--note", "Dan", "--json").stdout)
    again = run("onboarding", "link", "acme", "NEWS@acme-mail.io", "--days", 1)

    assert made["url"].startswith("https://mail.postyard.io/onboarding/")
    assert again.stdout.startswith("https://mail.postyard.io/onboarding/")
    token = made["url"].rpartition("/")[2]
    assert onboarding.open_page(app, token).domain == "acme-mail.io"
    listed = json.loads(run("onboarding", "list", "acme", "--json").stdout)
    assert [(row["note"], row["domain"], row["state"]) for row in listed] == [
        ("", "acme-mail.io", "open"),
        ("Dan", "acme-mail.io", "open"),
    ]
    assert token not in json.dumps(listed) + run("onboarding", "list", "acme").stdout
    assert run("onboarding", "revoke", "acme", made["id"]).exit_code == 0
    with pytest.raises(NotFound):
        onboarding.open_page(app, token)
    refused = run("onboarding", "link", "acme", "globex-post.net")
    assert (refused.exit_code, "postyard senders list" in refused.stderr) == (1, True)


def test_the_checklist_ends_with_1_while_something_is_to_do(
    app: App, cast: Cast, simulator: Simulator
) -> None:
    asked = run("checklist", "acme")
    assert asked.exit_code == 1
    assert "Default sender" in asked.stdout
    assert run("checklist", "acme", "--prove").exit_code == 1

    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    items = json.loads(run("checklist", "acme", "--prove", "--json").stdout)

    assert [item["key"] for item in items][-1] == "pipeline"
    assert (items[-1]["state"], items[-1]["page"]) == ("waiting", "tenants")
