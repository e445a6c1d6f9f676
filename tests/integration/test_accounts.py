"""The AWS account: its queue, and what SES allows it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from core import accounts
from core.access import Actor
from core.app import App, AwsProviders
from core.db.models import Account, AuditEntry
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast
from tests.simulators import Simulator

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ASKED: dict[str, Any] = {
    "mail_type": "MARKETING",
    "website_url": "https://www.acme-mail.io",
    "use_case": "Newsletters to people who signed up on our website; bounces and complaints are suppressed.",
}


def test_the_platform_account_is_made_with_its_quota(app: App, simulator: Simulator) -> None:
    simulator.scenario(account={"max_send_rate": 14, "max_24_hour_send": 50_000, "production_access": False})
    account = accounts.ensure_platform_account(app)
    assert (account.name, account.region) == ("platform", app.settings.region)
    assert (account.max_send_rate, account.max_24_hour_send, account.production_access) == (14, 50_000, False)
    assert account.checked_at is not None


def test_its_queue_and_rule_are_made_and_stay_when_made_again(app: App) -> None:
    known = accounts.ensure_platform_account(app)
    assert known.queue_url is None
    for _ in range(2):
        accounts.make_event_queue(app, known)
        known = look(app, known)
        accounts.make_status_rule(app, known)
        known = look(app, known)
    assert known.queue_url is not None
    assert known.queue_url.endswith("/postyard-events")
    assert known.dead_letter_queue_url is not None
    assert known.status_rule_arn is not None
    assert known.status_rule_arn.endswith(":rule/postyard-status")
    queue = app.providers.queue(known.region)
    assert queue.depth(known.queue_url) == 0
    assert queue.queue_fault("postyard-events") is None
    assert queue.status_rule_fault("postyard-status", accounts.plumbing_of(known)) is None


def test_made_twice_it_is_the_same_row(app: App) -> None:
    first, second = accounts.ensure_platform_account(app), accounts.ensure_platform_account(app)
    assert (first.id, first.aws_account_id) == (second.id, second.aws_account_id)
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Account)) == 1
        assert session.scalars(select(AuditEntry.action)).all() == ["add account"]


def test_made_by_many_at_once_it_is_one_row(app: App) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(accounts.ensure_platform_account, [app] * 4))
    assert len({account.id for account in made}) == 1


@pytest.mark.parametrize("operation", ["GetCallerIdentity", "GetAccount"])
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
    assert accounts.ensure_platform_account(app).aws_account_id


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


def look(app: App, account: Account) -> Account:
    with app.db.read() as session:
        return accounts.get_account(session, account.id)


@pytest.fixture
def sandbox(app: App, simulator: Simulator, cast: Cast) -> Account:
    """The account of acme and globex, not yet out of the sandbox."""
    simulator.scenario(account={"production_access": False})
    accounts.refresh_due(app)
    with app.db.read() as session:
        return accounts.get_account(session, cast.acme.account_id)


def test_production_access_is_asked_for_reviewed_and_granted(
    app: App, simulator: Simulator, sandbox: Account, root: Actor
) -> None:
    asked = accounts.request_production_access(app, root, sandbox.id, **ASKED, contacts=["ops@acme-mail.io"])
    assert (asked.review_status, asked.access_requested_by) == ("PENDING", "root")
    assert asked.access_requested_at is not None
    accounts.refresh_due(app)
    under_way = look(app, sandbox)
    assert (under_way.review_status, under_way.production_access) == ("PENDING", False)
    assert under_way.review_case_id
    assert under_way.access_request == ASKED | {"contact_language": "EN", "contacts": ["ops@acme-mail.io"]}

    simulator.scenario(account={"review": "GRANTED"})
    accounts.refresh_due(app)
    out = look(app, sandbox)
    assert (out.review_status, out.production_access) == ("GRANTED", True)
    with pytest.raises(Conflict, match="out of the sandbox already"):
        accounts.request_production_access(app, root, sandbox.id, **ASKED)
    with app.db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    told = [(e.actor, e.action, e.detail.get("after")) for e in entries if "production" in e.action]
    assert told == [
        ("postyard", "review production access", "sandbox"),
        ("root", "request production access", None),
        ("postyard", "review production access", "production access, review GRANTED"),
    ]


def test_while_aws_reviews_nobody_asks_again_and_after_a_refusal_somebody_may(
    app: App, simulator: Simulator, sandbox: Account, root: Actor
) -> None:
    accounts.request_production_access(app, root, sandbox.id, **ASKED)
    with pytest.raises(Conflict, match="still reviewing the last request"):
        accounts.request_production_access(app, root, sandbox.id, **ASKED)
    simulator.scenario(account={"review": "DENIED"})
    assert accounts.refresh_now(app, root, sandbox.id).review_status == "DENIED"
    again = accounts.request_production_access(app, root, sandbox.id, **ASKED | {"contact_language": "ja"})
    assert (again.review_status, again.access_request["contact_language"]) == ("PENDING", "JA")


def test_of_two_who_ask_at_once_one_is_told(app: App, sandbox: Account, root: Actor) -> None:
    def ask(_: int) -> object:
        try:
            return accounts.request_production_access(app, root, sandbox.id, **ASKED)
        except Conflict as e:
            return e

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(ask, range(2)))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Account", "Conflict"]


@on_sqlite
def test_a_request_whose_answer_was_lost_is_found_under_review(
    app: App, simulator: Simulator, sandbox: Account, root: Actor
) -> None:
    simulator.faults({"kind": "accept_then_time_out", "operation": "PutAccountDetails"})
    with pytest.raises(Conflict, match="still reviewing an earlier request"):
        accounts.request_production_access(app, root, sandbox.id, **ASKED)
    found = look(app, sandbox)
    assert (found.review_status, found.access_request["website_url"]) == ("PENDING", ASKED["website_url"])


@on_sqlite
def test_where_ses_refuses_the_request_nothing_is_kept(
    app: App, simulator: Simulator, sandbox: Account, root: Actor
) -> None:
    simulator.faults({"kind": "error", "operation": "PutAccountDetails", "times": 0, "status": 403,
                      "code": "AccessDeniedException"})  # fmt: skip
    with pytest.raises(ProviderError, match="PutAccountDetails"):
        accounts.request_production_access(app, root, sandbox.id, **ASKED)
    assert look(app, sandbox).review_status is None


@on_sqlite
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mail_type", "SPAM"),
        ("mail_type", ""),
        ("website_url", ""),
        ("website_url", "www.acme-mail.io"),
        ("website_url", "ftp://acme-mail.io"),
        ("website_url", "javascript://acme-mail.io"),
        ("website_url", "https://localhost"),
        ("website_url", "https://acme-mail.io/a b"),
        ("website_url", "https://[acme-mail.io"),
        ("website_url", "https://acme-mail.io/" + "a" * 1000),
        ("use_case", ""),
        ("use_case", "We send mail."),
        ("use_case", " \n" * 60),
        ("use_case", "x" * 5001),
        ("contact_language", "DE"),
        ("contacts", ["ops@acme-mail.io", "nobody"]),
        ("contacts", [f"{number}@acme-mail.io" for number in range(5)]),
    ],
)
def test_what_aws_would_refuse_names_its_field(
    app: App, simulator: Simulator, root: Actor, field: str, value: object
) -> None:
    with pytest.raises(InputError) as caught:
        accounts.request_production_access(app, root, 1, **ASKED | {field: value})
    assert caught.value.field == field
    assert str(caught.value).endswith((".", "!"))


@on_sqlite
def test_who_may_ask_and_who_may_refresh(app: App, sandbox: Account, cast: Cast, alice: Actor) -> None:
    for actor in (alice, cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            accounts.request_production_access(app, actor, sandbox.id, **ASKED)
    with pytest.raises(PermissionDenied):
        accounts.refresh_now(app, cast.bob, sandbox.id)
    assert accounts.refresh_now(app, alice, sandbox.id).id == sandbox.id
    with pytest.raises(NotFound, match=r"^There is no such AWS account\.$"):
        accounts.refresh_now(app, alice, 999)


def test_the_sandbox_is_shown_to_those_whose_tenants_send_through_it(
    app: App, simulator: Simulator, sandbox: Account, cast: Cast, root: Actor
) -> None:
    nobody = Actor(username="nina", role=cast.bob.role, tenant_ids=frozenset())
    for actor in (root, cast.bob, cast.carol):
        assert [account.id for account in accounts.sandboxed(app, actor)] == [sandbox.id]
        assert [account.id for account in accounts.sandboxed(app, actor, cast.acme.id)] == [sandbox.id]
    assert accounts.sandboxed(app, nobody) == []
    with pytest.raises(NotFound, match=r"^There is no such tenant\.$"):
        accounts.sandboxed(app, cast.charlie, cast.acme.id)
    simulator.scenario(account={"production_access": True})
    accounts.refresh_due(app)
    assert accounts.sandboxed(app, cast.bob, cast.acme.id) == []
