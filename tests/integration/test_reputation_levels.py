"""A tenant's own levels: lower than Postyard's, by administrators, and kept with what they were before."""

from __future__ import annotations

import math

import pytest

from core import audit, reputation, tenants
from core.access import Actor
from core.app import App
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.reputation import Levels, Signal
from tests.conftest import Cast

LOWER = Levels(pause_bounce_rate=0.08, warn_complaint_rate=0.0005)


def test_an_administrator_lowers_a_tenants_levels(app: App, cast: Cast, root: Actor) -> None:
    tenant = reputation.set_levels(app, root, cast.acme.id, LOWER)
    limits = reputation.limits(tenant)
    assert (limits[Signal.BOUNCE].warn, limits[Signal.BOUNCE].pause) == (0.05, 0.08)
    assert (limits[Signal.COMPLAINT].warn, limits[Signal.COMPLAINT].pause) == (0.0005, 0.005)
    assert reputation.own_levels(app, cast.carol, cast.acme.id) == LOWER
    assert reputation.own_levels(app, cast.charlie, cast.globex.id) == Levels()
    [entry] = [each for each in audit.list_entries(app, root) if each.action == "set reputation levels"]
    assert (entry.actor, entry.subject) == ("root", "acme")
    assert entry.detail["before"]["pause_bounce_rate"] is None
    assert entry.detail["after"]["pause_bounce_rate"] == 0.08


def test_none_is_postyards_own_again(app: App, cast: Cast, root: Actor) -> None:
    reputation.set_levels(app, root, cast.acme.id, LOWER)
    tenant = reputation.set_levels(app, root, cast.acme.id, Levels())
    assert reputation.limits(tenant) == reputation.limits()


def test_the_same_levels_twice_are_one_change(app: App, cast: Cast, root: Actor) -> None:
    first = reputation.set_levels(app, root, cast.acme.id, LOWER)
    again = reputation.set_levels(app, root, cast.acme.id, LOWER, version=first.version)
    assert again.version == first.version
    assert [each.action for each in audit.list_entries(app, root)].count("set reputation levels") == 1


def test_who_saw_older_levels_is_told(app: App, cast: Cast, root: Actor) -> None:
    reputation.set_levels(app, root, cast.acme.id, LOWER)
    with pytest.raises(Conflict, match="Look again"):
        reputation.set_levels(app, root, cast.acme.id, Levels(), version=cast.acme.version)


def test_an_operator_sets_no_levels_and_a_stranger_finds_no_tenant(
    app: App, cast: Cast, alice: Actor
) -> None:
    for actor in (alice, cast.bob, cast.carol):
        with pytest.raises(PermissionDenied, match="Ask an administrator"):
            reputation.set_levels(app, actor, cast.acme.id, LOWER)
    with pytest.raises(NotFound):
        reputation.set_levels(app, cast.charlie, cast.acme.id, LOWER)
    with app.db.read() as session:
        assert tenants.get_tenant(session, cast.acme.id).pause_bounce_rate is None


@pytest.mark.parametrize(
    ("levels", "field", "bound"),
    [
        (Levels(pause_bounce_rate=0.11), "pause_bounce_rate", "10 %"),
        (Levels(pause_bounce_rate=0.009), "pause_bounce_rate", "1 %"),
        (Levels(warn_bounce_rate=0.06), "warn_bounce_rate", "5 %"),
        (Levels(warn_complaint_rate=0.002), "warn_complaint_rate", "0.1 %"),
        (Levels(pause_complaint_rate=0.006), "pause_complaint_rate", "0.5 %"),
        (Levels(pause_complaint_rate=math.nan), "pause_complaint_rate", "0.5 %"),
        (Levels(pause_complaint_rate=-0.001), "pause_complaint_rate", "0.05 %"),
        (Levels(warn_bounce_rate=0.05, pause_bounce_rate=0.04), "warn_bounce_rate", "4 %"),
    ],
)
def test_a_level_above_postyards_own_or_out_of_order_is_refused_with_its_bound(
    levels: Levels, field: str, bound: str
) -> None:
    with pytest.raises(InputError, match=bound) as told:
        levels.check()
    assert told.value.field == field
