"""`postyard suppressions`: domains, several at once, imports looked through first, the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_cli import Call, Run, call, database_url, environment, run
from tests.simulators import Simulator

__all__ = ["call", "database_url", "environment", "run"]
pytestmark = pytest.mark.slow


def test_several_are_added_and_released_and_each_that_cannot_be_is_told(call: Call, run: Run) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    told = run("suppressions", "add", "acme", "ann@example.com", "@example.net", "nobody", "@gmail.com")
    assert told.exit_code == 1
    assert "2 added" in told.stdout
    assert "--whole-provider" in told.stdout
    call("suppressions", "add", "acme", "@gmail.com", "--whole-provider")
    assert len(call("suppressions", "list", "acme", "--search", "@")) == 3

    some = run("suppressions", "release", "acme", "@example.net", "x@example.org", "--reason", "Asked")
    assert some.exit_code == 1
    assert "1 released" in some.stdout
    assert "x@example.org is not on the suppression list" in some.stdout


def test_an_import_is_looked_through_first(call: Call, tmp_path: Path) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    file = tmp_path / "old.csv"
    file.write_text("email,reason\nann@example.com,complaint\nnobody,\n@example.net,\n")
    checked: Any = call("suppressions", "import", "acme", file, "--check")
    assert (checked["new"], checked["rejected"], checked["rejections"][0]["line"]) == (2, 1, 3)
    assert call("suppressions", "list", "acme") == []
    assert call("suppressions", "import", "acme", file)["added"] == 2
    assert len(call("suppressions", "export", "acme", "--reason", "COMPLAINT")) == 1


def test_lists_are_compared_and_repaired(call: Call, run: Run, simulator: Simulator) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    entries = [{"address": f"{name}@example.com", "reason": "BOUNCE", "at": 1e9} for name in ("a", "b", "c")]
    simulator.call("POST", "/_sim/suppressed", {"tenant": "acme", "entries": entries})
    simulator.call("POST", "/_sim/suppressed", {"tenant": "", "entries": entries[:1]})
    assert call("suppressions", "compare", "acme")["differences"] == {"missing here": 3}
    assert "Compare again in" in run("suppressions", "compare", "acme").stderr

    first, *_ = call("suppressions", "differences", "acme")
    assert call("suppressions", "repair", "acme", first["id"]) == {str(first["id"]): "Added here."}
    assert "Name the ids" in run("suppressions", "repair", "acme").stderr
    assert call("suppressions", "repair", "acme", "--all")["repaired"] == 2
    assert call("suppressions", "differences", "acme") == []

    (old,) = call("suppressions", "differences", "acme", "--account")
    assert "Say why" in run("suppressions", "repair", "acme", old["id"], "--account").stderr
    call("suppressions", "repair", "acme", old["id"], "--account", "--reason", "an old test")
    assert call("suppressions", "differences", "acme", "--account") == []
