"""The AWS account: its queue, and what SES allows it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from core import accounts
from core.access import Actor
from core.app import App, AwsProviders
from core.db.models import Account, AuditEntry
from core.errors import NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast
from tests.simulators import Simulator


def test_the_platform_account_is_made_with_its_queue_and_quota(app: App, simulator: Simulator) -> None:
    simulator.scenario(account={"max_send_rate": 14, "max_24_hour_send": 50_000, "production_access": False})
    account = accounts.ensure_platform_account(app)
    assert (account.name, account.region) == ("platform", app.settings.region)
    assert (account.max_send_rate, account.max_24_hour_send, account.production_access) == (14, 50_000, False)
    assert account.checked_at is not None
    assert account.queue_url is not None
    assert account.queue_url.endswith("/postyard-events")
    assert account.dead_letter_queue_url is not None
    assert app.providers.queue(account.region).depth(account.queue_url) == 0


def test_made_twice_it_is_the_same_row(app: App) -> None:
    first, second = accounts.ensure_platform_account(app), accounts.ensure_platform_account(app)
    assert (first.id, first.queue_arn) == (second.id, second.queue_arn)
    assert accounts.plumb(app).id == first.id
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 1
        assert session.scalars(select(AuditEntry.action)).all() == ["add account"]


@pytest.mark.parametrize("operation", ["GetCallerIdentity", "GetAccount", "CreateQueue"])
def test_where_aws_fails_nothing_is_kept_and_it_can_be_repeated(
    app: App, simulator: Simulator, operation: str
) -> None:
    app = replace(app, providers=AwsProviders(app.settings))  # that has not asked who it is yet
    simulator.faults(
        {"kind": "error", "operation": operation, "times": 0, "status": 403, "code": "AccessDenied"}
    )
    with pytest.raises(ProviderError, match=operation):
        accounts.ensure_platform_account(app)
    with app.db.read() as session:
        assert session.scalar(select(Account)) is None
    simulator.faults()
    assert accounts.ensure_platform_account(app).queue_url


def test_the_quota_is_refreshed(app: App, simulator: Simulator) -> None:
    account = accounts.ensure_platform_account(app)
    simulator.scenario(account={"max_send_rate": 3, "sending_enabled": False})
    assert accounts.refresh_due(app) == "Read the quota of 1 of 1 accounts."
    with app.db.read() as session:
        fresh = accounts.get_account(session, account.id)
    assert (fresh.max_send_rate, fresh.sending_enabled) == (3, False)


def test_an_account_that_does_not_answer_keeps_its_last_figures(app: App, simulator: Simulator) -> None:
    account = accounts.ensure_platform_account(app)
    simulator.faults({"kind": "error", "operation": "GetAccount", "times": 0, "status": 400, "code": "Nope"})
    assert accounts.refresh_due(app) == "Read the quota of 0 of 1 accounts."
    with app.db.read() as session:
        assert accounts.get_account(session, account.id).max_send_rate == account.max_send_rate


def test_staff_see_the_accounts_and_others_do_not(app: App, alice: Actor, cast: Cast) -> None:
    assert [account.name for account in accounts.list_accounts(app, alice)] == ["platform"]
    with pytest.raises(PermissionDenied):
        accounts.list_accounts(app, cast.carol)


def test_an_account_that_is_not_there_is_not_found(app: App) -> None:
    with app.db.read() as session, pytest.raises(NotFound):
        accounts.get_account(session, 99)
