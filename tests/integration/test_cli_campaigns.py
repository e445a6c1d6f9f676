"""The commands about a campaign's way, pace and unknown messages, as a script uses them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from core.app import App
from core.db.models import Account, Campaign, Message
from tests.integration.test_cli import (
    NEWS,
    Call,
    Run,
    call,
    database_url,
    draft,
    environment,
    files,
    refused,
    run,
    sender,
)
from tests.simulators import Simulator

__all__ = ["call", "database_url", "environment", "files", "run", "sender"]

pytestmark = pytest.mark.slow


def campaign_of(app: App, campaign_id: int) -> Campaign:
    with app.db.read() as session:
        return session.get_one(Campaign, campaign_id)


def make_unknown(app: App) -> None:
    """As if their worker had died three days ago, and nothing were left to read."""
    lost = {"status": "unknown", "attempt": "00aa", "provider": "ses", "reason": "It ended."}
    with app.db.begin() as session:
        session.execute(update(Message).values(**lost, armed_at=app.now() - timedelta(hours=73)))
        session.execute(update(Campaign).values(status="SENT"))
        session.execute(update(Account).values(queue_url=None))


def test_a_pace_is_given_with_the_campaign_and_changed_later(
    app: App, call: Call, run: Run, sender: str, files: dict[str, Path]
) -> None:
    made = call(*draft(files, rate=12.5, until="2031-05-03T18:00"))["id"]
    assert campaign_of(app, made).rate_per_second == 12.5
    assert campaign_of(app, made).send_until == datetime(2031, 5, 3, 18, tzinfo=UTC)
    call("campaigns", "pace", made, "--until", "2031-05-03T18:00+02:00")
    assert campaign_of(app, made).rate_per_second == 12.5
    assert campaign_of(app, made).send_until == datetime(2031, 5, 3, 16, tzinfo=UTC)
    said = run("campaigns", "pace", made).stdout
    assert "Pace: at most 12.5 a second, nothing after 2031-05-03 16:00 (UTC)." in said
    changed = call("campaigns", "pace", made, "--rate", "none", "--until", "none")
    assert (changed["rate_per_second"], changed["send_until"]) == (None, None)
    assert campaign_of(app, made).rate_per_second is None
    assert campaign_of(app, made).send_until is None
    assert "2026-05-03T18:00" in refused(run("campaigns", "pace", made, "--until", "tomorrow"))
    assert "takes a number" in refused(run("campaigns", "pace", made, "--rate", "fast"))
    assert "more than 0" in refused(run("campaigns", "pace", made, "--rate", "0"))
    assert "passed already" in refused(run("campaigns", "pace", made, "--until", "2020-01-01"))


def test_a_time_is_meant_in_the_tenants_zone(app: App, call: Call, run: Run, files: dict[str, Path]) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail", "--timezone", "Europe/Berlin")
    call("senders", "add", "acme", NEWS)
    made = call(*draft(files, until="2031-05-03T18:00"))["id"]
    assert campaign_of(app, made).send_until == datetime(2031, 5, 3, 16, tzinfo=UTC)


def test_unknown_messages_are_told_and_sent_again_by_a_persons_word(
    app: App, call: Call, run: Run, sender: str, files: dict[str, Path]
) -> None:
    made = call(*draft(files))["id"]
    assert "no unknown message" in run("campaigns", "unknown", made).stdout
    make_unknown(app)
    told = call("campaigns", "unknown", made)
    assert (told["count"], told["for_a_person"], told["resendable"]) == (2, 2, 2)
    assert told["by_reason"] == [{"reason": "It ended.", "count": 2}]
    assert f"resend-unknown {made} --expected 2" in run("campaigns", "unknown", made).stdout
    again = ("campaigns", "resend-unknown", made, "--expected")
    assert "may get it twice" in refused(run(*again, 2))
    assert "2 such messages now, not 1" in refused(run(*again, 1, "--yes"))
    assert call(*again, 2, "--yes")["counts"]["pending"] == 2
    assert "No message waits" in refused(run(*again, 2, "--yes"))


def test_unknown_messages_are_left_so(
    app: App, call: Call, run: Run, sender: str, files: dict[str, Path]
) -> None:
    made = call(*draft(files))["id"]
    make_unknown(app)
    assert call("campaigns", "leave-unknown", made, "--expected", 2)["counts"]["unknown"] == 2
    assert call("campaigns", "unknown", made)["left"] == 2


def test_a_fallback_is_told_and_starts_with_yes_alone(
    app: App,
    call: Call,
    run: Run,
    simulator: Simulator,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call("tenants", "create", "acme", "--name", "Acme Retail")
    call("senders", "add", "acme", NEWS)
    made = call(*draft(files))["id"]
    assert "is not verified" in refused(run("campaigns", "start", made, "--yes"))
    for name, value in simulator.resend().items():
        monkeypatch.setenv(f"POSTYARD_{name.upper()}", value)
    call("tenants", "fallback", "acme", "no_verified_domain")
    assert "goes through Resend" in refused(run("campaigns", "start", made))
    assert campaign_of(app, made).status == "DRAFT"
    started = call("campaigns", "start", made, "--yes")
    assert (started["status"], started["provider"]) == ("SENDING", "resend")
    assert "goes through Resend, from news@postyard-mail.io" in started["warning"]
