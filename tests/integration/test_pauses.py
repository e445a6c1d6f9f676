"""Pauses: what the reputation charts mark, from the audit log."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import reports, tenants
from core.access import Actor
from core.app import App
from core.errors import NotFound
from tests.conftest import Cast


def test_every_pause_is_told_with_its_end(app: App, cast: Cast, alice: Actor) -> None:
    tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
    tenants.resume(app, alice, cast.acme.id, "They cleaned it.")
    tenants.pause(app, alice, cast.acme.id, "Again.")
    today = app.now().date()

    first, second = reports.pauses(app, cast.carol, cast.acme.id, since=today)
    assert (first.reason, first.by) == ("Their list looks bought.", "alice")
    assert first.resumed_at is not None
    assert (second.reason, second.resumed_at) == ("Again.", None)
    assert reports.pauses(app, cast.carol, cast.acme.id, since=today + timedelta(days=1)) == []


def test_another_tenants_pauses_are_not_told(app: App, cast: Cast, alice: Actor) -> None:
    tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
    assert reports.pauses(app, cast.charlie, cast.globex.id, since=app.now().date()) == []
    with pytest.raises(NotFound):
        reports.pauses(app, cast.charlie, cast.acme.id, since=app.now().date())
