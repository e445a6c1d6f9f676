"""The ledger: differences between our suppression lists and SES's, put right, and by whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core import audit, suppressions
from core.access import Actor
from core.app import App
from core.errors import InputError, NotFound, PermissionDenied, ProviderError
from core.suppressions import Kind
from tests.conftest import Cast
from tests.ses_lists import (
    AWAY,
    LONG_AGO,
    REFUSED,
    at_ses,
    differences,
    here,
    later,
    listed,
    listed_at_ses,
    open_alerts,
)
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_what_is_missing_here_is_added_with_ses_reason_and_date(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "acme", "Theirs@example.com", reason="COMPLAINT")
    suppressions.compare_now(app, alice, cast.acme.id)
    [difference] = suppressions.list_differences(app, alice, cast.acme.id)
    assert suppressions.repair(app, alice, cast.acme.id, difference.id) == "Added here."
    [entry] = suppressions.list_suppressions(app, alice, cast.acme.id)
    assert (entry.address, entry.reason, entry.source, entry.created_by, entry.created_at) == (
        "theirs@example.com", "COMPLAINT", "ses", "alice", LONG_AGO,
    )  # fmt: skip
    assert differences(app, cast.acme.id) == []
    assert open_alerts(app) == []
    told = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert (told.action, told.detail["done"]) == ("repair suppression difference", "Added here.")


def test_what_is_missing_at_ses_is_put_there_with_its_reason(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, "ours@example.com", reason="COMPLAINT")
    suppressions.compare_now(app, alice, cast.acme.id)
    [difference] = suppressions.list_differences(app, alice, cast.acme.id)
    assert suppressions.repair(app, alice, cast.acme.id, difference.id) == "Put on SES's list."
    [entry] = app.providers.email(app.settings.region).list_suppressed("acme").entries
    assert (entry.address, entry.reason) == ("ours@example.com", "COMPLAINT")
    assert listed_at_ses(app, None) == listed_at_ses(app, "globex") == set()
    suppressions.compare_now(later(app, minutes=2), alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []


@SQLITE
def test_what_was_released_here_after_ses_had_listed_it_is_taken_off_there(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, "theirs@example.com", "again@example.com")
    for address in ("theirs@example.com", "again@example.com"):
        suppressions.release(app, alice, cast.acme.id, address, "the mailbox is back")
    at_ses(simulator, "acme", "Theirs@example.com")
    at_ses(simulator, "acme", "again@example.com", at=app.now().timestamp() + 60)
    suppressions.compare_now(later(app, hours=2), alice, cast.acme.id)
    done = suppressions.repair_all(later(app, hours=2), alice, cast.acme.id)
    assert (done.repaired, done.kept, done.left) == (2, {}, 0)
    assert listed_at_ses(app, "acme") == {"again@example.com"}
    assert listed(app, cast.acme.id) == {"again@example.com": "ses"}


def test_a_release_while_ses_is_told_takes_the_address_off_there_again(
    app: App, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, "a@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    [difference] = suppressions.list_differences(app, alice, cast.acme.id)
    suppressions.release(app, alice, cast.acme.id, "a@example.com", "the mailbox is back")
    done = suppressions.repair(app, alice, cast.acme.id, difference.id)
    assert done == "Nothing to do: it was released meanwhile."
    assert listed_at_ses(app, "acme") == set()


def test_repairing_twice_is_told(app: App, simulator: Simulator, cast: Cast, alice: Actor) -> None:
    at_ses(simulator, "acme", "theirs@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    [difference] = suppressions.list_differences(app, alice, cast.acme.id)
    suppressions.repair(app, alice, cast.acme.id, difference.id)
    with pytest.raises(NotFound, match="no such difference"):
        suppressions.repair(app, alice, cast.acme.id, difference.id)
    assert suppressions.repair_all(app, alice, cast.acme.id).repaired == 0


def test_all_is_repaired_at_once(app: App, simulator: Simulator, cast: Cast, alice: Actor) -> None:
    at_ses(simulator, "acme", *(f"t{number}@example.com" for number in range(700)))
    here(app, cast.acme.id, *(f"o{number}@example.com" for number in range(5)))
    suppressions.compare_now(app, alice, cast.acme.id)
    done = suppressions.repair_all(app, alice, cast.acme.id)
    assert (done.repaired, done.kept, done.left) == (705, {}, 0)
    assert suppressions.count(app, alice, cast.acme.id) == 705
    assert {f"o{number}@example.com" for number in range(5)} <= listed_at_ses(app, "acme")
    assert open_alerts(app) == []


@SQLITE
def test_only_one_kind_may_be_repaired(app: App, simulator: Simulator, cast: Cast, alice: Actor) -> None:
    at_ses(simulator, "acme", "theirs@example.com")
    here(app, cast.acme.id, "ours@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    assert suppressions.repair_all(app, alice, cast.acme.id, kind=Kind.MISSING_HERE).repaired == 1
    assert differences(app, cast.acme.id) == [("ours@example.com", "missing at SES", "BOUNCE")]


@SQLITE
def test_what_ses_refuses_stays_a_difference_and_says_why(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, *(f"o{number}@example.com" for number in range(6)))
    suppressions.compare_now(app, alice, cast.acme.id)
    simulator.faults({"operation": "PutSuppressedDestination", **REFUSED})
    done = suppressions.repair_all(app, alice, cast.acme.id)
    assert (done.repaired, len(done.kept), done.left) == (0, 6, 6)
    [difference, *_] = suppressions.list_differences(app, alice, cast.acme.id)
    with pytest.raises(ProviderError):
        suppressions.repair(app, alice, cast.acme.id, difference.id)
    assert open_alerts(app) == [f"tenant {cast.acme.id}"]


@SQLITE
def test_while_ses_is_away_it_is_not_asked_on_and_on(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    here(app, cast.acme.id, *(f"o{number}@example.com" for number in range(6)))
    suppressions.compare_now(app, alice, cast.acme.id)
    simulator.faults({"operation": "PutSuppressedDestination", **AWAY})
    done = suppressions.repair_all(app, alice, cast.acme.id)
    assert (done.repaired, len(done.kept), done.left) == (0, 3, 6)


def test_the_accounts_list_is_shown_to_those_who_see_all(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, root: Actor
) -> None:
    at_ses(simulator, "", "Old@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    account_id = cast.acme.account_id
    [found] = suppressions.list_account_differences(app, alice, account_id)
    assert (found.difference.address, found.difference.kind) == ("Old@example.com", "on the account's list")
    assert (found.written_by, found.kept_back) == ([], [])
    assert open_alerts(app) == []  # nobody's mail is kept back
    assert differences(app, cast.acme.id) == []
    for somebody in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            suppressions.list_account_differences(app, somebody, account_id)
    with pytest.raises(PermissionDenied):
        suppressions.release_at_account(app, alice, account_id, found.difference.id, "ours")
    with pytest.raises(InputError, match="Say why"):
        suppressions.release_at_account(app, root, account_id, found.difference.id, " ")
    suppressions.release_at_account(app, root, account_id, found.difference.id, "an old test")
    assert listed_at_ses(app, None) == set()
    with pytest.raises(NotFound):
        suppressions.release_at_account(app, root, account_id, found.difference.id, "again")


@SQLITE
def test_a_tenant_without_a_list_of_its_own_is_told_with_who_is_affected(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "", "old@example.com")
    provider: Any = app.providers.email(app.settings.region)
    provider._control.put_tenant_suppression_attributes(
        TenantName="acme", SuppressedReasons=["BOUNCE"], SuppressionScope="ACCOUNT"
    )
    standing = suppressions.compare_now(app, alice, cast.acme.id)
    assert not standing.is_asked
    [found] = suppressions.list_account_differences(app, alice, cast.acme.account_id)
    assert found.kept_back == ["Acme Retail"]
    assert sorted(open_alerts(app)) == [f"account {cast.acme.account_id}", f"tenant {cast.acme.id}"]
    provider.create_tenant("acme")  # as a repair of the setup does
    suppressions.compare_now(later(app, minutes=2), alice, cast.acme.id)
    assert open_alerts(app) == []


@pytest.mark.parametrize(
    "call",
    [
        suppressions.list_differences,
        suppressions.standing,
        suppressions.compare_now,
        lambda *who: suppressions.repair(*who, 1),
        suppressions.repair_all,
    ],
)
@SQLITE
def test_another_tenants_ledger_is_as_good_as_missing(
    app: App, cast: Cast, alice: Actor, call: Callable[..., object]
) -> None:
    with pytest.raises(NotFound) as foreign:
        call(app, cast.charlie, cast.acme.id)
    with pytest.raises(NotFound) as absent:
        call(app, alice, 999)
    assert str(foreign.value) == str(absent.value)


@SQLITE
def test_another_tenants_difference_is_not_repaired(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    at_ses(simulator, "acme", "theirs@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    [difference] = suppressions.list_differences(app, alice, cast.acme.id)
    with pytest.raises(NotFound):
        suppressions.repair(app, alice, cast.globex.id, difference.id)
    assert listed(app, cast.globex.id) == listed(app, cast.acme.id) == {}


@SQLITE
def test_who_looks_may_not_repair(app: App, cast: Cast) -> None:
    for somebody in (cast.bob, cast.carol):
        assert suppressions.list_differences(app, somebody, cast.acme.id) == []
        with pytest.raises(PermissionDenied):
            suppressions.compare_now(app, somebody, cast.acme.id)
        with pytest.raises(PermissionDenied):
            suppressions.repair_all(app, somebody, cast.acme.id)
