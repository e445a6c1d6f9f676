"""The Suppressions page: who is not written to, and who may change that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core import access, suppressions
from core.access import Actor
from core.app import App
from core.db.models import User
from core.suppressions import Provenance
from tests.conftest import Cast
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/deliverability/suppressions.py")


def complained(app: App, tenant_id: int, address: str) -> None:
    why = Provenance(reason="COMPLAINT", source="event", created_by="postyard")
    with app.db.begin() as session:
        suppressions.suppress(session, tenant_id, {address: why}, app.now())


def choose_row(at: AppTest, table: str, row: int) -> Any:
    at.session_state[table] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    return at.run()


def listed(app: App, tenant_id: int) -> list[str]:
    return [row.address for row in suppressions.list_suppressions(app, access.SYSTEM, tenant_id)]


def test_an_empty_list_says_how_it_fills(page: Visit, cast: Cast) -> None:
    at = page(cast.carol)
    assert not at.exception
    assert "Nobody is suppressed" in shown(at)


def test_the_list_can_be_searched_and_filtered(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com", "asked by phone")
    complained(app, cast.acme.id, "grace@example.org")
    at = page(cast.carol)
    assert "2 addresses" in shown(at)
    at.text_input(key="suppressions.search").input("ada").run()
    assert "ada@example.com" in shown(at)
    assert "grace@example.org" not in shown(at)
    at.text_input(key="suppressions.search").input("nobody").run()
    assert "Nothing found" in shown(at)


def test_an_address_is_added(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="suppressions.add").click().run()
    at.text_input(key="suppressions.address").input("Ada@Example.com")
    at.text_input(key="suppressions.note").input("asked by phone")
    at.button(key="suppressions.add.yes").click().run()
    assert not at.exception
    assert listed(app, cast.acme.id) == ["ada@example.com"]
    assert "asked by phone" in shown(at)


def test_no_address_is_refused_with_a_sentence(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="suppressions.add").click().run()
    at.text_input(key="suppressions.address").input("not an address")
    at.button(key="suppressions.add.yes").click().run()
    assert len(at.error) == 1
    assert listed(app, cast.acme.id) == []


def test_a_list_is_imported_and_its_result_shown(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = page(cast.bob)
    at.button(key="suppressions.import").click().run()
    content = b"email\nada@example.com\ngrace@example.org\nbroken\n"
    at.file_uploader(key="suppressions.csv").upload("old.csv", content, "text/csv").run()
    at.button(key="suppressions.import.yes").click().run()
    assert not at.exception
    assert "1 added, 1 on the list already" in shown(at)
    assert "broken" in shown(at)
    assert sorted(listed(app, cast.acme.id)) == ["ada@example.com", "grace@example.org"]


def test_release_wants_a_reason(page: Visit, app: App, cast: Cast, alice: Actor) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = choose_row(page(alice), "suppressions.table.1", 0)
    at.button(key="suppressions.release").click().run()
    at.button(key="confirm.yes").click().run()
    assert listed(app, cast.acme.id) == ["ada@example.com"]
    at.text_input(key="confirm.reason").input("she asked for it")
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert listed(app, cast.acme.id) == []


def test_a_complaint_is_released_by_administrators_only(
    page: Visit, app: App, cast: Cast, alice: Actor
) -> None:
    complained(app, cast.acme.id, "grace@example.org")
    at = choose_row(page(alice), "suppressions.table.1", 0)
    assert "only an administrator" in shown(at)
    assert "suppressions.release" not in {button.key for button in at.button}


def test_an_analyst_may_export_but_not_change(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = page(cast.carol)
    assert [button.label for button in at.get("download_button")] == ["Export CSV"]
    assert not {button.key for button in at.button} & {"suppressions.add", "suppressions.import"}


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.globex.id, "secret@example.net")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "secret@example.net" not in shown(at)
    assert "Globex" not in shown(at)
