"""The Alerts page: what is open, what was, and where it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from core import alerts, notices
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import User
from core.notices import ChannelKind
from tests.alerting import SECRET, Hook, webhook
from tests.ui.conftest import Console, open_page, said

People = Callable[..., User]
PAGE = "pages/admin/alerts.py"
URL = f"https://hooks.acme-mail.io{SECRET}"


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as served:
        yield served


def raised(app: App, tenant_id: int | None, sentence: str, kind: str = "drift", hours_ago: int = 1) -> None:
    with app.db.begin() as session:
        alerts.raise_once(
            session, kind=kind, cause=f"{kind} {sentence}", sentence=sentence, tenant_id=tenant_id,
            at=app.now() - timedelta(hours=hours_ago),
        )  # fmt: skip


def labels(at: AppTest) -> list[str]:
    return [tab.label for tab in at.tabs]


def test_open_alerts_lead_to_the_page_that_helps_and_the_history_is_filtered(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    raised(bare_app, 1, "SNS differs.")
    raised(bare_app, 2, "DKIM is *gone*.", "domain broken")
    raised(bare_app, None, "No scheduler.", "scheduler silent")
    with bare_app.db.begin() as session:
        alerts.clear(session, kind="drift", cause="drift SNS differs.", at=bare_app.now())
    at = open_page(console(people("dora", Role.OPERATOR)), PAGE)
    assert not at.exception
    assert "2 open alerts" in said(at)
    assert r"**Globex** · DKIM is \*gone\*." in said(at)
    assert "SNS differs." not in said(at)
    links = [(page.proto.label, page.proto.query_string) for page in at.get("page_link")]
    assert ("Senders", "tenant=globex") in links
    assert ("Health", "") in links
    assert list(at.dataframe[0].value["Status"]) == [["Raised"], ["Raised"], ["Over"]]
    at.selectbox("alerts.tenant").select(1).run()
    assert list(at.dataframe[0].value["What"]) == ["SNS differs."]
    at.selectbox("alerts.tenant").select(None)
    at.selectbox("alerts.kind").select("domain broken").run()
    assert list(at.dataframe[0].value["Tenant"]) == ["Globex"]


def test_the_overview_shows_the_newest_and_leads_to_the_others(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    for number in range(10):
        raised(bare_app, 1, f"Number {number} differs.", hours_ago=number)
    at = console(people("carol", Role.ANALYST, "acme"))
    assert not at.exception
    assert "Number 7 differs." in said(at)
    assert "Number 8 differs." not in said(at)
    assert "2 more" in [page.proto.label for page in at.get("page_link")]


@pytest.mark.parametrize("role", [Role.ACCOUNT_MANAGER, Role.ANALYST])
def test_who_is_assigned_to_a_tenant_sees_its_alerts_alone_and_no_channels(
    console: Console, people: People, bare_app: App, two_tenants: None, role: Role
) -> None:
    raised(bare_app, 1, "SNS differs.")
    raised(bare_app, 2, "Globex is broken.")
    raised(bare_app, None, "No scheduler.", "scheduler silent")
    at = open_page(console(people("bob", role, "acme")), PAGE)
    assert not at.exception
    assert labels(at) == ["Open", "History"]
    assert "SNS differs." in said(at)
    assert "Globex" not in said(at) + at.dataframe[0].value.to_csv()
    assert "No scheduler" not in said(at) + at.dataframe[0].value.to_csv()


def test_a_channel_is_added_tried_switched_off_and_removed(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = open_page(console(people("ada", Role.ADMIN)), PAGE)
    assert "Alerts are sent nowhere yet" in said(at)
    at.button("alerts.add").click().run()
    at.text_input("alerts.add.email").input("ann@example.com")
    at.button("alerts.add.yes").click().run()
    assert "The channel is added" in said(at)
    [view] = notices.list_channels(bare_app, SYSTEM)
    assert (view.tenant_id, view.target, view.created_by) == (None, "ann@example.com", "ada")
    at.button(f"alerts.test.{view.id}").click().run()
    assert "POSTYARD\\_ALERT\\_FROM" in said(at)
    at.button(f"alerts.switch.{view.id}").click().run()
    assert not notices.list_channels(bare_app, SYSTEM)[0].is_active
    at.button(f"alerts.remove.{view.id}").click().run()
    at.button("confirm.yes").click().run()
    assert notices.list_channels(bare_app, SYSTEM) == []
    assert not at.exception


def test_of_a_webhook_nothing_but_its_end_is_shown_and_a_fault_is_said_in_the_dialog(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), PAGE)
    at.button("alerts.add").click().run()
    at.radio("alerts.add.kind").set_value(ChannelKind.WEBHOOK).run()
    assert at.text_input("alerts.add.url").proto.type == 1, "it is not readable over a shoulder"
    at.text_input("alerts.add.url").input("https://169.254.169.254/latest")
    at.button("alerts.add.yes").click().run()
    assert "as the internet knows it" in said(at)
    at.text_input("alerts.add.url").input(URL)
    at.button("alerts.add.yes").click().run()
    [view] = notices.list_channels(bare_app, SYSTEM)
    assert view.tenant_id == 1, "an operator's are of a tenant"
    assert "…nnel" in said(at)
    assert "SecretOf" not in said(at)


def test_what_could_not_be_told_is_shown_and_an_administrators_channel_is_not_an_operators(
    console: Console, people: People, bare_app: App, two_tenants: None, hook: Hook
) -> None:
    notices.add(bare_app, SYSTEM, None, kind=ChannelKind.WEBHOOK, target=hook.url)
    hook.status = 503
    raised(bare_app, 1, "SNS differs.")
    notices.send_due(bare_app, hook.dialler())
    at = open_page(console(people("dora", Role.OPERATOR)), PAGE)
    assert "answered 503. 1 notice will be tried again." in said(at)
    assert "an administrator changes it" in said(at)
    assert not [button for button in at.button if str(button.key).startswith("alerts.test")]
