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
from tests.simulators import Simulator
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/deliverability/suppressions.py")


def complained(app: App, tenant_id: int, address: str) -> None:
    why = Provenance(reason="COMPLAINT", source="event", created_by="postyard")
    with app.db.begin() as session:
        suppressions.suppress(session, tenant_id, {address: why}, app.now())


def left(app: App, tenant_id: int, address: str) -> None:
    why = Provenance(reason="UNSUBSCRIBE", source="unsubscribe", created_by="recipient")
    with app.db.begin() as session:
        suppressions.suppress(session, tenant_id, {address: why}, app.now())


def choose_rows(at: AppTest, table: str, *rows: int) -> Any:
    at.session_state[table] = {"selection": {"rows": [*rows], "columns": [], "cells": []}}
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


def test_addresses_and_domains_are_added_and_bad_ones_told(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="suppressions.add").click().run()
    at.text_area(key="suppressions.addresses").input("Ada@Example.com, nobody\n@example.net")
    at.text_input(key="suppressions.note").input("asked by phone")
    at.button(key="suppressions.add.yes").click().run()
    assert not at.exception
    assert sorted(listed(app, cast.acme.id)) == ["@example.net", "ada@example.com"]
    assert "nobody" in shown(at)
    assert "Not added" in "".join(expander.label for expander in at.expander)


def test_a_whole_mailbox_provider_is_asked_about_first(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="suppressions.add").click().run()
    at.text_area(key="suppressions.addresses").input("@gmail.com").run()
    assert "Very many people" in shown(at)
    at.button(key="suppressions.add.yes").click().run()
    assert listed(app, cast.acme.id) == []
    at.checkbox(key="suppressions.providers").check()
    at.button(key="suppressions.add.yes").click().run()
    assert listed(app, cast.acme.id) == ["@gmail.com"]
    assert "sends nothing there any more" in shown(at)


def test_no_address_is_refused_with_a_sentence(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="suppressions.add").click().run()
    at.text_area(key="suppressions.addresses").input("not an address")
    at.button(key="suppressions.add.yes").click().run()
    assert len(at.error) == 1
    assert listed(app, cast.acme.id) == []


def test_a_list_is_looked_through_before_it_is_imported(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = page(cast.bob)
    at.button(key="suppressions.import").click().run()
    content = b"email,reason\nada@example.com,\ngrace@example.org,complaint\nbroken,\n"
    at.file_uploader(key="suppressions.csv").upload("old.csv", content, "text/csv").run()
    assert not at.exception
    assert {metric.label: metric.value for metric in at.metric} == {
        "New": "1", "On the list already": "1", "Rejected": "1",
    }  # fmt: skip
    assert "broken" in shown(at)
    assert listed(app, cast.acme.id) == ["ada@example.com"]
    at.button(key="suppressions.import.yes").click().run()
    assert not at.exception
    assert "1 added, 1 on the list already, 1 rejected" in shown(at)
    assert sorted(listed(app, cast.acme.id)) == ["ada@example.com", "grace@example.org"]


def test_who_unsubscribed_elsewhere_is_imported_over_another_reason(
    page: Visit, app: App, cast: Cast
) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = page(cast.bob)
    at.button(key="suppressions.import").click().run()
    content = b"email,reason\nada@example.com,unsubscribe\n"
    at.file_uploader(key="suppressions.csv").upload("left.csv", content, "text/csv").run()
    assert not at.exception
    assert "For 1 on the list already the file's reason is kept instead." in shown(at)
    at.button(key="suppressions.import.yes").click().run()
    assert not at.exception
    [entry] = suppressions.list_suppressions(app, access.SYSTEM, cast.acme.id)
    assert entry.reason == "UNSUBSCRIBE"


def test_release_wants_a_reason(page: Visit, app: App, cast: Cast, alice: Actor) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = choose_rows(page(alice), "suppressions.table.1", 0)
    at.button(key="suppressions.release").click().run()
    at.button(key="suppressions.release.yes").click().run()
    assert listed(app, cast.acme.id) == ["ada@example.com"]
    at.text_input(key="suppressions.release.reason").input("she asked for it")
    at.button(key="suppressions.release.yes").click().run()
    assert not at.exception
    assert listed(app, cast.acme.id) == []


def test_several_are_released_and_who_unsubscribed_only_by_their_wish(
    page: Visit, app: App, cast: Cast, alice: Actor
) -> None:
    suppressions.add_several(app, access.SYSTEM, cast.acme.id, "ada@example.com @example.net")
    left(app, cast.acme.id, "grace@example.org")
    at = choose_rows(page(alice), "suppressions.table.3", 0, 1, 2)
    at.button(key="suppressions.release").click().run()
    at.text_input(key="suppressions.release.reason").input("they asked")
    at.button(key="suppressions.release.yes").click().run()
    assert not at.exception
    assert listed(app, cast.acme.id) == ["grace@example.org"]
    assert "unsubscribed" in shown(at)
    at.checkbox(key="suppressions.release.asked").check()
    at.button(key="suppressions.release.yes").click().run()
    assert listed(app, cast.acme.id) == []


def test_a_chosen_entry_tells_where_it_came_from_and_its_history(
    page: Visit, app: App, cast: Cast, alice: Actor
) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com", "asked by phone")
    suppressions.release(app, alice, cast.acme.id, "ada@example.com", "back *again*")
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com", "<b>no</b> mail")
    suppressions.add(app, access.SYSTEM, cast.acme.id, "@example.com")
    at = choose_rows(page(cast.carol), "suppressions.table.2", 1)
    assert not at.exception
    told = shown(at)
    assert "added by hand" in told
    assert "Note: <b>no</b> mail" in told
    assert "released by alice: back *again*" in told
    assert "releasing the address alone does nothing" in told
    assert "suppressions.release" not in {button.key for button in at.button}


def test_a_complaint_is_released_by_administrators_only(
    page: Visit, app: App, cast: Cast, alice: Actor
) -> None:
    complained(app, cast.acme.id, "grace@example.org")
    at = choose_rows(page(alice), "suppressions.table.1", 0)
    assert "only an administrator" in shown(at)
    assert "suppressions.release" not in {button.key for button in at.button}


def test_an_analyst_may_export_but_not_change(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com")
    at = page(cast.carol)
    assert [button.label for button in at.get("download_button")] == ["Export CSV"]
    assert not {button.key for button in at.button} & {
        "suppressions.add", "suppressions.import", "suppressions.compare", "suppressions.repair_all",
    }  # fmt: skip
    assert "Not compared yet" in shown(at)
    assert "whole AWS account" not in "".join(expander.label for expander in at.expander)


def test_differences_with_ses_are_shown_and_repaired(
    page: Visit, app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    entries = [{"address": f"{name}@example.com", "reason": "BOUNCE", "at": 1e9} for name in ("a", "b", "c")]
    simulator.call("POST", "/_sim/suppressed", {"tenant": "acme", "entries": entries})
    at = page(alice)
    assert "Compared never" not in shown(at)
    at.button(key="suppressions.compare").click().run()
    assert not at.exception
    assert "3 on SES's list" in shown(at)
    assert "3 missing here" in shown(at)
    at = choose_rows(at, "suppressions.differences.3", 0)
    at.button(key="suppressions.repair").click().run()
    assert "Added here." in shown(at)
    at.button(key="suppressions.repair_all").click().run()
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert "The lists agree" in shown(at)
    assert sorted(listed(app, cast.acme.id)) == [entry["address"] for entry in entries]


def test_an_address_is_taken_off_the_accounts_list_with_a_reason(
    page: Visit, app: App, cast: Cast, root: Actor, simulator: Simulator
) -> None:
    entries = [{"address": "old@example.com", "reason": "BOUNCE", "at": 1e9}]
    simulator.call("POST", "/_sim/suppressed", {"tenant": "", "entries": entries})
    suppressions.compare_now(app, root, cast.acme.id)
    at = choose_rows(page(root), "suppressions.account.1", 0)
    at.button(key="suppressions.free").click().run()
    at.text_input(key="confirm.reason").input("an old test")
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert suppressions.list_account_differences(app, root, cast.acme.account_id) == []


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    suppressions.add(app, access.SYSTEM, cast.globex.id, "secret@example.net")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "secret@example.net" not in shown(at)
    assert "Globex" not in shown(at)
