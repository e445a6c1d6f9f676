"""Our suppression lists compared with SES's: page by page, once a day, told once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from core import alerts, suppressions
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Suppression, SuppressionComparison, SuppressionDifference, Tenant
from core.errors import Conflict, ProviderError, TooSoon
from core.suppressions import comparing
from tests.conftest import Cast
from tests.ses_lists import (
    REFUSED,
    at_ses,
    differences,
    here,
    later,
    list_of,
    open_alerts,
)
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_lists_that_agree_differ_in_nothing(app: App, simulator: Simulator, cast: Cast, alice: Actor) -> None:
    here(app, cast.acme.id, "a@example.com", "b@example.com")
    at_ses(simulator, "acme", "A@Example.com", "b@example.com")
    standing = suppressions.compare_now(app, alice, cast.acme.id)
    assert (standing.listed, standing.is_under_way, standing.error, standing.differences) == (
        2,
        False,
        None,
        {},
    )
    assert standing.compared_at is not None
    assert open_alerts(app) == []


def test_each_kind_of_difference_is_found_and_told_once(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, "both@example.com", "ours@example.com")
    here(app, cast.acme.id, "fury@example.com", reason="COMPLAINT")
    here(app, cast.acme.id, "left@example.com", reason="UNSUBSCRIBE")
    here(app, cast.acme.id, "hand@example.com", "@example.net", reason="MANUAL")
    at_ses(simulator, "acme", "both@example.com", "Theirs@example.com")
    at_ses(simulator, "globex", "other@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    assert differences(app, cast.acme.id) == [
        ("Theirs@example.com", "missing here", "BOUNCE"),
        ("fury@example.com", "missing at SES", "COMPLAINT"),
        ("ours@example.com", "missing at SES", "BOUNCE"),
    ]
    assert differences(app, cast.globex.id) == []
    suppressions.compare_now(later(app, minutes=2), alice, cast.acme.id)
    assert len(differences(app, cast.acme.id)) == 3
    assert open_alerts(app) == [f"tenant {cast.acme.id}"]
    [alert] = [row for row in alerts.list_open(app, cast.bob) if row.kind == suppressions.ALERT]
    assert "1 missing here, 2 missing at SES" in alert.sentence
    assert alerts.list_open(app, cast.charlie) == []


def test_what_agrees_again_is_resolved_and_the_alert_clears(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "acme", "theirs@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    suppressions.add(app, cast.bob, cast.acme.id, "theirs@example.com")
    suppressions.compare_now(later(app, minutes=2), alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []
    assert open_alerts(app) == []
    with app.db.read() as session:
        [row] = session.scalars(
            select(SuppressionDifference).where(SuppressionDifference.tenant_id == cast.acme.id)
        )
    assert (row.resolved_by, row.resolution) == ("postyard", "The lists agree again.")


@SQLITE
def test_what_is_on_its_way_is_no_difference_yet(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "acme", "fresh@example.com", at=app.now().timestamp() - 60)
    here(app, cast.acme.id, "new@example.com", at=app.now() - timedelta(minutes=5))
    suppressions.compare_now(app, alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []
    suppressions.compare_now(later(app, hours=2), alice, cast.acme.id)
    assert len(differences(app, cast.acme.id)) == 2


@SQLITE
def test_what_no_bounce_puts_on_ses_list_is_never_missing_there(app: App, cast: Cast, alice: Actor) -> None:
    here(app, cast.acme.id, "bounce@simulator.amazonses.com", "@example.org")
    suppressions.compare_now(app, alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []


@SQLITE
def test_a_domain_on_ses_list_never_becomes_an_entry(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "acme", "@example.com", "nul\x00@example.com")
    at_ses(simulator, "", "nul\x00@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []


@SQLITE
def test_a_release_during_a_comparison_is_no_difference(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading SES's page and writing what it says."""
    here(app, cast.acme.id, "a@example.com")
    at_ses(simulator, "acme", "a@example.com")
    ses_list = list_of(app, cast.acme)
    step = comparing._begin(app, ses_list)
    page = app.providers.email(ses_list.region).list_suppressed("acme")
    suppressions.release(app, alice, cast.acme.id, "a@example.com", "the mailbox is back")
    with app.db.begin() as session:
        comparing._keep_page(session, ses_list, step, page, app.now())
    assert differences(app, cast.acme.id) == []


def test_a_list_that_ses_does_not_give_is_not_compared(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, "a@example.com")
    simulator.faults({"operation": "ListSuppressedDestinations", **REFUSED})
    with pytest.raises(ProviderError):
        suppressions.compare_now(app, alice, cast.acme.id)
    standing = suppressions.standing(app, alice, cast.acme.id)
    assert standing.error is not None
    assert (standing.compared_at, standing.differences) == (None, {})
    assert open_alerts(app) == []


def test_it_is_not_compared_again_at_once(app: App, cast: Cast, alice: Actor) -> None:
    suppressions.compare_now(app, alice, cast.acme.id)
    with pytest.raises(TooSoon, match="Compare again in"):
        suppressions.compare_now(app, alice, cast.acme.id)


@SQLITE
def test_two_who_compare_the_same_list_do_not_count_a_page_twice(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    at_ses(simulator, "acme", "a@example.com")
    ses_list = list_of(app, cast.acme)
    page = app.providers.email(ses_list.region).list_suppressed("acme")
    mine, theirs = comparing._begin(app, ses_list), comparing._begin(app, ses_list)
    assert mine == theirs
    with app.db.begin() as session:
        comparing._keep_page(session, ses_list, mine, page, app.now())
    with pytest.raises(Conflict, match="somebody else"), app.db.begin() as session:
        comparing._keep_page(session, ses_list, theirs, page, app.now())


def test_a_run_ends_after_its_pages_and_the_next_goes_on(
    app: App, simulator: Simulator, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_ses(simulator, "acme", *(f"p{number}@example.com" for number in range(2500)))
    here(app, cast.acme.id, *(f"p{number}@example.com" for number in range(2499)), "ours@example.com")
    ses_list = list_of(app, cast.acme)
    assert comparing.compare(app, ses_list, 1) == (1, False)
    assert suppressions.standing(app, SYSTEM, cast.acme.id).is_under_way
    assert comparing.compare(app, ses_list, 1) == (1, False)
    assert comparing.compare(app, ses_list, 5) == (1, True)
    standing = suppressions.standing(app, SYSTEM, cast.acme.id)
    assert (standing.pages, standing.listed, standing.is_under_way) == (3, 2500, False)
    assert differences(app, cast.acme.id) == [
        ("ours@example.com", "missing at SES", "BOUNCE"),
        ("p2499@example.com", "missing here", "BOUNCE"),
    ]


@SQLITE
def test_one_that_died_after_the_last_page_is_finished_by_the_next_without_reading_again(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    at_ses(simulator, "acme", *(f"p{number}@example.com" for number in range(1500)))
    here(app, cast.acme.id, "ours@example.com")
    ses_list = list_of(app, cast.acme)
    comparing.compare(app, ses_list, 9)
    with app.db.begin() as session:
        session.execute(update(SuppressionComparison).values(finished_at=None))
    simulator.faults({"operation": "ListSuppressedDestinations", **REFUSED})
    assert comparing.compare(app, ses_list, 9) == (0, True)
    standing = suppressions.standing(app, SYSTEM, cast.acme.id)
    assert (standing.pages, standing.listed, standing.is_under_way) == (2, 1500, False)
    assert standing.differences == {"missing here": 1500, "missing at SES": 1}


@SQLITE
def test_a_token_that_ses_takes_no_more_begins_the_list_anew(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    at_ses(simulator, "acme", *(f"p{number}@example.com" for number in range(1500)))
    ses_list = list_of(app, cast.acme)
    comparing.compare(app, ses_list, 1)
    with app.db.begin() as session:
        session.execute(
            update(SuppressionComparison)
            .where(SuppressionComparison.tenant_id == cast.acme.id)
            .values(next_token="stale")
        )
    assert comparing.compare(app, ses_list, 9) == (3, True)
    assert suppressions.standing(app, SYSTEM, cast.acme.id).listed == 1500


@SQLITE
def test_a_comparison_that_was_left_for_hours_begins_anew(app: App, simulator: Simulator, cast: Cast) -> None:
    at_ses(simulator, "acme", *(f"p{number}@example.com" for number in range(1500)))
    ses_list = list_of(app, cast.acme)
    comparing.compare(app, ses_list, 1)
    assert comparing.compare(later(app, hours=7), ses_list, 9) == (2, True)


def test_the_job_compares_every_list_once_a_day(app: App, simulator: Simulator, cast: Cast) -> None:
    at_ses(simulator, "acme", "theirs@example.com")
    assert suppressions.compare_due(app) == "Compared 0 of 0 suppression lists with SES's."
    tomorrow = later(app, hours=25)
    assert suppressions.compare_due(tomorrow) == "Compared 3 of 3 suppression lists with SES's."
    assert suppressions.compare_due(tomorrow) == "Compared 0 of 0 suppression lists with SES's."
    assert open_alerts(app) == [f"tenant {cast.acme.id}"]
    assert suppressions.compare_due(later(app, hours=51)).startswith("Compared 3 of 3")
    assert len(differences(app, cast.acme.id)) == 1


@SQLITE
def test_the_job_leaves_what_ses_does_not_answer_for_until_later(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({"operation": "ListSuppressedDestinations", **REFUSED})
    tomorrow = later(app, hours=25)
    assert suppressions.compare_due(tomorrow).startswith("Compared 0 of 3")
    simulator.faults()
    assert suppressions.compare_due(tomorrow).startswith("Compared 0 of 0")
    assert suppressions.compare_due(later(app, hours=27)).startswith("Compared 3 of 3")


@SQLITE
def test_a_tenant_that_ses_does_not_know_yet_is_not_compared(app: App, cast: Cast, alice: Actor) -> None:
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.id == cast.acme.id).values(provisioned_at=None))
    with pytest.raises(Conflict, match="Repair its setup"):
        suppressions.compare_now(app, alice, cast.acme.id)


@SQLITE
def test_twenty_thousand_addresses_are_compared_within_seconds(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    both = [f"p{number}@example.com" for number in range(20_000)]
    at_ses(simulator, "acme", *both[:-100], *(f"t{number}@example.com" for number in range(100)))
    here(app, cast.acme.id, *both)
    started = app.clock.monotonic()
    pages, is_done = comparing.compare(app, list_of(app, cast.acme), 100)
    assert (pages, is_done) == (20, True)
    assert app.clock.monotonic() - started < 30
    standing = suppressions.standing(app, SYSTEM, cast.acme.id)
    assert standing.differences == {"missing here": 100, "missing at SES": 100}
    with app.db.read() as session:
        marked = select(func.count()).where(
            Suppression.tenant_id == cast.acme.id, Suppression.seen_at_ses_at.is_not(None)
        )
        assert session.scalar(marked) == 19_900
