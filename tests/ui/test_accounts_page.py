"""AWS accounts: what SES allows, the request for production access, and the banner of the sandbox."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from core import accounts, audit
from core.access import SYSTEM, Actor, Role
from core.app import App
from core.db.models import Account, User
from tests.conftest import Cast
from tests.simulators import Simulator
from tests.ui.conftest import Console, open_page, said
from tests.ui.visits import shown

People = Callable[..., User]
ACCOUNTS = "pages/admin/accounts.py"
USE_CASE = "Newsletters to people who subscribed at acme-mail.io, about 2,000 a day; bounces are suppressed."
HOSTILE = "<b> ![x](http://evil.example/x.png)"


def change(app: App, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Account).values(checked_at=app.now(), **values))


def account(app: App) -> Account:
    with app.db.read() as session:
        return session.scalars(select(Account)).one()


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def keys(at: AppTest) -> set[str | None]:
    return {button.key for button in at.button}


def fill(at: AppTest, website: str, use_case: str = USE_CASE) -> AppTest:
    at.text_input("accounts.request.website").input(website)
    at.text_area("accounts.request.use_case").input(use_case)
    at.text_input("accounts.request.contacts").input("ops@example.com, legal@example.org")
    return at.button("accounts.request.save").click().run()


# The page


def test_without_an_account_one_is_told_when_it_comes(console: Console, people: People, app: App) -> None:
    assert "No AWS account yet" in said(open_page(console(people("dora", Role.OPERATOR)), ACCOUNTS))


def test_what_ses_allows_is_shown_and_asked_for_again(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), ACCOUNTS)
    assert not at.exception
    assert ":green-badge[:material/check_circle: Production]" in said(at)
    simulator.scenario(account={"max_send_rate": 7, "enforcement_status": "PROBATION"})
    at.button(f"accounts.refresh.{account(app).id}").click().run()
    assert metrics(at)["A second"] == "7"
    assert "Under review" in said(at)


def test_ses_not_answering_is_told_and_the_last_figures_stay(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), ACCOUNTS)
    before = metrics(at)
    simulator.faults(
        {"kind": "error", "operation": "GetAccount", "times": 0, "status": 400, "code": "BadRequestException"}
    )
    at.button(f"accounts.refresh.{account(app).id}").click().run()
    assert at.error
    assert metrics(at) == before


def test_only_an_administrator_may_ask_for_production_access(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(bare_app, production_access=False)
    at = open_page(console(people("dora", Role.OPERATOR)), ACCOUNTS)
    assert "An administrator can request production access" in said(at)
    assert "accounts.request.save" not in keys(at)
    assert "accounts.request.save" in keys(open_page(console(people("root", Role.ADMIN)), ACCOUNTS))


def test_a_request_keeps_what_was_typed_until_it_can_be_sent_and_is_followed(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator, root: Actor
) -> None:
    simulator.scenario(account={"production_access": False})
    accounts.refresh_now(app, SYSTEM, account(app).id)
    at = fill(open_page(console(people("ada", Role.ADMIN)), ACCOUNTS), "acme")
    assert "write its whole address" in "".join(error.value for error in at.error)
    assert "confirm.yes" not in keys(at), "nothing is asked about what AWS would not take"
    assert "confirm.cancel" not in keys(at.run())
    assert at.text_area("accounts.request.use_case").value == USE_CASE
    at = fill(at, "https://acme-mail.io")
    assert account(app).review_status is None
    at.button("confirm.yes").click().run()
    assert "AWS is reviewing the request" in said(at)
    assert "Asked by ada" in said(at)
    assert "accounts.request.save" not in keys(at)
    assert USE_CASE in shown(at)
    assert account(app).access_request["contacts"] == ["ops@example.com", "legal@example.org"]
    assert audit.list_entries(app, root)[0].action == "request production access"
    simulator.scenario(account={"review": "GRANTED"})
    at.button(f"accounts.refresh.{account(app).id}").click().run()
    assert ":green-badge[:material/check_circle: Production]" in said(at)
    assert "reviewing" not in said(at)


def test_what_aws_declined_is_said_and_can_be_asked_for_again(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    asked = {"mail_type": "TRANSACTIONAL", "website_url": "https://acme-mail.io", "use_case": USE_CASE}
    change(
        bare_app, production_access=False, review_status="DENIED", review_case_id=HOSTILE,
        access_request=asked, access_requested_by=HOSTILE, access_requested_at=bare_app.now(),
    )  # fmt: skip
    at = open_page(console(people("ada", Role.ADMIN)), ACCOUNTS)
    assert not at.exception
    assert r"\<b\> `![x](http://evil.example/x.png)`" in at.error[0].value
    assert at.text_input("accounts.request.website").value == "https://acme-mail.io"
    assert at.radio("accounts.request.type").value == "TRANSACTIONAL"


# The banner


@pytest.mark.parametrize("page", ["Home", "pages/sending/senders.py", "pages/operations/tenants.py"])
def test_every_page_says_that_the_account_is_in_the_sandbox(
    console: Console, people: People, bare_app: App, two_tenants: None, page: str
) -> None:
    at = console(people("carol", Role.ANALYST, "acme"))
    assert "sandbox" not in said(at)
    change(bare_app, production_access=False, max_24_hour_send=200, max_send_rate=1)
    at = at.run() if page == "Home" else open_page(at, page)
    assert "200 messages in 24 hours, 1 a second, only to addresses SES has verified" in said(at)
    assert "AWS accounts" not in [link.proto.label for link in at.get("page_link")]
    change(bare_app, review_status="PENDING", access_requested_at=bare_app.now())
    assert "AWS is reviewing the request" in said(at.run())
    change(bare_app, production_access=True, review_status="GRANTED")
    assert "sandbox" not in said(at.run())


def test_the_banner_leads_those_who_may_to_the_accounts(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(bare_app, production_access=False)
    at = console(people("dora", Role.OPERATOR))
    assert "AWS accounts" in [link.proto.label for link in at.get("page_link")]
    at = open_page(at, ACCOUNTS)
    assert "AWS accounts" not in [link.proto.label for link in at.get("page_link")]
