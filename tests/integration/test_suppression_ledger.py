"""The ledger: our suppression lists beside SES's, what differs, told once and put right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from core import alerts, audit, suppressions
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Suppression, SuppressionComparison, SuppressionDifference, Tenant
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError, TooSoon
from core.suppressions import Kind, Provenance, comparing
from tests.conftest import Cast
from tests.simulators import Simulator

REFUSED = {"kind": "error", "times": 0, "status": 400, "code": "BadRequestException"}
AWAY = {"kind": "error", "times": 0, "status": 500}
LONG_AGO = datetime(2026, 5, 4, 12, tzinfo=UTC)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Later:
    """The clock of the machine, set forward; sleeping costs nothing."""

    def __init__(self, ahead: timedelta) -> None:
        self.ahead = ahead

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    def sleep(self, seconds: float) -> None:
        self.ahead += timedelta(seconds=seconds)


def later(app: App, **by: float) -> App:
    return replace(app, clock=Later(timedelta(**by)))


def at_ses(simulator: Simulator, tenant: str, *addresses: str, reason: str = "BOUNCE", **entry: Any) -> None:
    entries = [
        {"address": address, "reason": reason, "at": LONG_AGO.timestamp(), **entry} for address in addresses
    ]
    simulator.call("POST", "/_sim/suppressed", {"tenant": tenant, "entries": entries})


def here(app: App, tenant_id: int, *addresses: str, reason: str = "BOUNCE", at: datetime = LONG_AGO) -> None:
    why = Provenance(reason, "event", "postyard")
    with app.db.begin() as session:
        suppressions.suppress(session, tenant_id, dict.fromkeys(addresses, why), at)


def differences(app: App, tenant_id: int) -> list[tuple[str, str, str]]:
    found = suppressions.list_differences(app, SYSTEM, tenant_id, limit=1000)
    return sorted((row.address, row.kind, row.reason) for row in found)


def listed(app: App, tenant_id: int) -> dict[str, str]:
    rows = suppressions.list_suppressions(app, SYSTEM, tenant_id, limit=1000)
    return {row.address: row.source for row in rows}


def listed_at_ses(app: App, tenant: str | None) -> set[str]:
    page = app.providers.email(app.settings.region).list_suppressed(tenant)
    return {entry.address for entry in page.entries}


def open_alerts(app: App) -> list[str]:
    return [row.cause for row in alerts.list_open(app, SYSTEM) if row.kind == suppressions.ALERT]


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
    at_ses(simulator, "acme", "@example.com")
    suppressions.compare_now(app, alice, cast.acme.id)
    assert differences(app, cast.acme.id) == []


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


@SQLITE
def test_a_release_during_a_comparison_is_no_difference(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading SES's page and writing what it says."""
    here(app, cast.acme.id, "a@example.com")
    at_ses(simulator, "acme", "a@example.com")
    ses_list = _list_of(app, cast.acme)
    step = comparing._begin(app, ses_list)
    page = app.providers.email(ses_list.region).list_suppressed("acme")
    suppressions.release(app, alice, cast.acme.id, "a@example.com", "the mailbox is back")
    with app.db.begin() as session:
        comparing._keep_page(session, ses_list, step, page, app.now())
    assert differences(app, cast.acme.id) == []


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
    ses_list = _list_of(app, cast.acme)
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
    ses_list = _list_of(app, cast.acme)
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
def test_a_token_that_ses_takes_no_more_begins_the_list_anew(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    at_ses(simulator, "acme", *(f"p{number}@example.com" for number in range(1500)))
    ses_list = _list_of(app, cast.acme)
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
    ses_list = _list_of(app, cast.acme)
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
    pages, is_done = comparing.compare(app, _list_of(app, cast.acme), 100)
    assert (pages, is_done) == (20, True)
    assert app.clock.monotonic() - started < 30
    standing = suppressions.standing(app, SYSTEM, cast.acme.id)
    assert standing.differences == {"missing here": 100, "missing at SES": 100}
    with app.db.read() as session:
        marked = select(func.count()).where(
            Suppression.tenant_id == cast.acme.id, Suppression.seen_at_ses_at.is_not(None)
        )
        assert session.scalar(marked) == 19_900


def _list_of(app: App, tenant: Tenant) -> Any:
    with app.db.read() as session:
        return suppressions.differences.of_tenant(session, tenant)
