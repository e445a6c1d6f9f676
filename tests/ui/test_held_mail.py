"""Held mail: the banner on every page, and Health, where staff decide."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import installation
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import AuditEntry, Campaign, User
from tests.installations import NOON, reason, waiting
from tests.ledger import Ledger
from tests.ui.conftest import Console, open_page, said

People = Callable[..., User]
HEALTH = "pages/admin/health.py"
WHY = "This database is an older copy of itself: mail-1 has seen more [x](https://evil.example)."


@pytest.fixture
def held(app: App) -> Ledger:
    ledger = waiting(app, people=3)
    waiting(app, "globex", people=2)
    ledger.add_message("ann@example.com", status="pending", campaign_id=None, attempt=None, armed_at=None)
    with app.db.begin() as session:
        installation.hold(session, WHY, NOON)
    return ledger


def test_nothing_held_shows_nothing(console: Console, people: People, app: App) -> None:
    waiting(app)
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    assert "held" not in said(at).lower()


def test_staff_read_why_on_every_page_and_others_that_somebody_looks_at_it(
    console: Console, people: People, held: Ledger
) -> None:
    at = console(people("dora", Role.OPERATOR))
    assert "**Sending is held:** This database is an older copy" in said(at)
    assert "`[x](https://evil.example)`" in said(at)
    told = said(console(people("bob", Role.ACCOUNT_MANAGER, "acme")))
    assert "Sending is held; an operator looks at it." in told
    assert "older copy" not in told


def test_what_waits_is_listed_and_let_go_after_its_numbers_were_read(
    console: Console, people: People, app: App, held: Ledger
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    rows = at.dataframe[0].value
    assert list(zip(rows["Campaign"], rows["Tenant"], rows["Waiting"], strict=True)) == [
        ("May at acme", "Acme", 3),
        ("May at globex", "Globex", 2),
    ]
    at.button("held.release").click().run()
    assert "2 campaigns with 5 recipients, 1 single message" in at.get("markdown")[-1].value
    assert reason(app) is not None
    at.button("confirm.yes").click().run()
    assert not at.exception
    assert "Mail leaves again." in said(at)
    assert "Sending is held" not in said(at)
    assert reason(app) is None
    with app.db.read() as session:
        assert [
            entry.actor for entry in session.query(AuditEntry).where(AuditEntry.action == "let mail go")
        ] == ["dora"]


def test_whoever_is_second_is_told(console: Console, people: People, app: App, held: Ledger) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    at.button("held.release").click().run()
    installation.let_go(app, SYSTEM)
    with app.db.begin() as session:
        installation.hold(session, "The clock of mail-1 jumped.", NOON)
    at.button("confirm.yes").click().run()
    assert "held for another reason by now" in said(at)
    assert reason(app) == "The clock of mail-1 jumped."


@pytest.mark.parametrize("button", ["held.pause", "held.cancel"])
def test_a_campaign_is_kept_from_leaving(
    console: Console, people: People, app: App, held: Ledger, button: str
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    at.session_state["held.campaigns.2"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    at.run()
    at.button(button).click().run()
    if button == "held.cancel":
        assert "3 recipients of “May at acme” (Acme) will not be written to" in said(at)
        at.button("confirm.yes").click().run()
    assert not at.exception
    assert list(at.dataframe[0].value["Tenant"]) == ["Globex"]
    with app.db.read() as session:
        status = session.get_one(Campaign, held.campaign.id).status
    assert status == ("PAUSED" if button == "held.pause" else "CANCELLED")
