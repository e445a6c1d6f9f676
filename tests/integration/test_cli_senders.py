"""`postyard senders`: as a script uses it, with --json, and what a person reads."""

from __future__ import annotations

import json

import pytest

from tests.integration.test_cli import NEWS, Call, Run, call, database_url, environment, refused, run
from tests.simulators import Simulator

__all__ = ["call", "database_url", "environment", "run"]

HELP = "help@acme-mail.io"


@pytest.fixture
def acme(call: Call) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("senders", "add", "acme", NEWS, "--name", "Acme News")


def published(call: Call, simulator: Simulator) -> None:
    simulator.put_dns(call("senders", "records", "acme", NEWS))


def test_records_and_their_exports(acme: None, call: Call, run: Run) -> None:
    records = call("senders", "records", "acme", NEWS)
    assert [record["type"] for record in records] == ["CNAME"] * 3 + ["TXT"] * 3 + ["MX", "TXT"]
    assert {record["mistake"] for record in records} == {"no zone"}
    assert "LAST CHECK" in run("senders", "records", "acme", NEWS).stdout
    for shape in ("bind", "route53", "cloudflare"):
        exported = call("senders", "records", "acme", NEWS, "--format", shape)
        assert exported["format"] == shape
        assert "_domainkey.acme-mail.io" in exported["content"]
        printed = run("senders", "records", "acme", NEWS, "--format", shape).stdout
        assert exported["content"].strip() in printed
    assert json.loads(call("senders", "records", "acme", NEWS, "--format", "route53")["content"])["Changes"]


def test_verify_says_what_dns_lacks_and_what_is_found(
    acme: None, call: Call, run: Run, simulator: Simulator
) -> None:
    said = run("senders", "verify", "acme", NEWS)
    assert said.exit_code == 1
    assert "CNAME" in said.stdout
    assert "does not exist in DNS" in said.stdout
    refused(run("senders", "verify", "acme", NEWS))  # 30 seconds
    refused(run("senders", "default", "acme", NEWS))
    [listed] = call("senders", "list", "acme")
    assert {finding["verdict"] for finding in listed["findings"]} == {"missing"}


def test_a_deleted_sender_comes_back_and_goes_for_good(
    acme: None, call: Call, run: Run, simulator: Simulator
) -> None:
    published(call, simulator)
    assert call("senders", "verify", "acme", NEWS)["dkim_status"] == "SUCCESS"
    call("senders", "default", "acme", NEWS)
    removed = call("senders", "delete", "acme", NEWS)
    assert (removed["removed"], removed["was_default"], len(removed["records"])) == (NEWS, True, 7)
    assert call("senders", "list", "acme") == []
    [deleted] = call("senders", "deleted", "acme")
    assert deleted["restorable_until"] == removed["gone_at"]
    assert NEWS in run("senders", "deleted", "acme").stdout

    restored = call("senders", "restore", "acme", NEWS)
    assert (restored["address"], restored["is_default"]) == (NEWS, False)
    refused(run("senders", "restore", "acme", NEWS))
    said = run("senders", "delete", "acme", NEWS).stdout
    assert "postyard senders restore acme" in said
    assert "_domainkey" in said
    call("senders", "delete", "acme", NEWS, "--at-once")
    assert call("senders", "deleted", "acme") == []
    refused(run("senders", "restore", "acme", NEWS))
    assert simulator.messages() == []


def test_mail_from_is_chosen_and_given_up(acme: None, call: Call, run: Run) -> None:
    assert call("senders", "list", "acme")[0]["mail_from_domain"] == "bounce.acme-mail.io"
    chosen = call("senders", "mail-from", "acme", NEWS, "returns.acme-mail.io")
    assert (chosen["mail_from_domain"], chosen["mail_from_status"]) == ("returns.acme-mail.io", "PENDING")
    refused(run("senders", "mail-from", "acme", NEWS, "returns.globex-post.net"))
    assert "amazonses.com" in run("senders", "mail-from", "acme", NEWS).stdout


def test_one_address_alone_can_be_added(acme: None, call: Call, run: Run) -> None:
    assert "click the link" in run("senders", "add", "acme", HELP, "--address-only").stdout
    assert call("senders", "records", "acme", HELP) == []
    assert run("senders", "verify", "acme", HELP).exit_code == 1


def test_its_first_name_still_deletes(acme: None, call: Call, run: Run) -> None:
    assert call("senders", "remove", "acme", NEWS)["removed"] == NEWS
    assert "remove " not in run("senders", "--help").stdout
