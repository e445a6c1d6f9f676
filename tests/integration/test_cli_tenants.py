"""The commands about a tenant's set-up and about AWS accounts, as a script uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import tenants
from core.app import App
from tests.in_aws import aws
from tests.integration.test_cli import Call, Run, call, database_url, environment, refused, run
from tests.simulators import Simulator

__all__ = ["call", "database_url", "environment", "run"]

USE_CASE = "Newsletters to people who signed up on our website; bounces and complaints are suppressed."


@pytest.fixture
def acme(call: Call) -> str:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    return "acme"


def lose_destination(app: App) -> None:
    aws("sesv2", app).delete_configuration_set_event_destination(
        ConfigurationSetName="postyard-acme", EventDestinationName="postyard"
    )


def test_a_tenant_is_shown_with_what_it_has_in_aws(call: Call, run: Run, acme: str) -> None:
    shown = call("tenants", "show", acme)
    assert shown["slug"] == acme
    assert (shown["reputation_policy"], shown["reputation_findings"]) == ("standard", [])
    assert [row["key"] for row in shown["resources"]][:3] == ["event queue", "status notices", "SES tenant"]
    assert {row["state"] for row in shown["resources"]} == {"done"}
    text = run("tenants", "show", acme).stdout
    assert "Acme Retail" in text
    assert "postyard-acme-events" in text
    assert "no tenant 'nobody'" in refused(run("tenants", "show", "nobody"))


@pytest.mark.slow
def test_drift_is_found_shown_and_repaired(app: App, call: Call, run: Run, acme: str) -> None:
    assert "has all that tenant acme needs" in run("tenants", "drift", acme).stdout
    lose_destination(app)
    assert run("tenants", "drift", acme).exit_code == 0
    checked = run("tenants", "drift", acme, "--check")
    assert checked.exit_code == 1
    assert "event destination" in checked.stdout
    assert "SNS topic" not in checked.stdout
    assert run("tenants", "drift", acme).exit_code == 1
    assert {row["state"] for row in call("tenants", "repair", acme)} == {"done"}
    assert run("tenants", "repair", acme).stdout.strip() == "Tenant acme is complete in AWS."


def test_a_policy_is_chosen(call: Call, run: Run, acme: str) -> None:
    assert call("tenants", "policy", acme, "strict")["reputation_policy"] == "strict"
    assert call("tenants", "show", acme)["reputation_policy"] == "strict"
    assert run("tenants", "policy", acme, "severe").exit_code == 2


def test_who_resumes_what_aws_holds_is_told_so(
    app: App, simulator: Simulator, call: Call, run: Run, acme: str
) -> None:
    simulator.call("POST", "/_sim/tenants", {"name": acme, "aws_status": "DISABLED", "cause": "Blocklisted."})
    tenants.reputation_due(app)
    assert call("tenants", "show", acme)["aws_status_cause"] == "Blocklisted."
    assert "Blocklisted" in run("tenants", "show", acme).stdout
    said = run("tenants", "resume", acme, "--reason", "We asked AWS").stdout
    assert "Amazon SES itself holds Acme Retail's mail: Blocklisted." in said


@pytest.mark.slow
def test_production_access_is_asked_for_and_followed(
    simulator: Simulator, call: Call, run: Run, acme: str, tmp_path: Path
) -> None:
    simulator.scenario(account={"production_access": False})
    [account] = call("accounts", "refresh")
    assert (account["name"], account["production_access"]) == ("platform", False)
    assert "no: sandbox" in run("accounts", "list").stdout
    use_case = tmp_path / "use case.txt"
    use_case.write_text(USE_CASE, encoding="utf-8")
    asking = ["accounts", "request-access", "--mail-type", "marketing", "--website", "https://acme-mail.io"]

    assert "characters or more" in refused(run(*asking))
    asked = call(*asking, "--use-case-file", use_case, "--contact", "ops@acme-mail.io")
    assert (asked["review_status"], asked["access_request"]["use_case"]) == ("PENDING", USE_CASE)
    assert "still reviewing" in refused(run(*asking, "--use-case", USE_CASE))
    assert "PENDING" in run("accounts", "list").stdout
    assert "There is no account 'other'" in refused(run("accounts", "request-access", "other", *asking[2:]))
    simulator.scenario(account={"review": "GRANTED"})
    [account] = call("accounts", "refresh")
    assert account["production_access"] is True


def test_without_an_account_there_is_nothing_to_list(call: Call, run: Run) -> None:
    assert call("accounts", "list") == []
    assert "Nothing here yet." in run("accounts", "list").stdout
