"""The menu and the sidebar: what each role finds, and whose tenant is shown."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from core import users
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import User
from tests.ui.conftest import PASSWORD, Console, open_page, said

People = Callable[..., User]
GUARDED = {
    "pages/admin/users.py": {Role.ADMIN},
    "pages/admin/audit.py": {Role.ADMIN, Role.OPERATOR},
    "pages/admin/accounts.py": {Role.ADMIN, Role.OPERATOR},
    "pages/admin/health.py": {Role.ADMIN, Role.OPERATOR},
    "pages/deliverability/messages.py": {Role.ADMIN, Role.OPERATOR, Role.ACCOUNT_MANAGER},
}


def somebody(people: People, role: Role) -> User:
    assigned = ("acme",) if role in (Role.ACCOUNT_MANAGER, Role.ANALYST) else ()
    return people("dora", role, *assigned)


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("page", list(GUARDED))
def test_a_role_reaches_the_pages_it_may_use_and_no_other(
    console: Console, people: People, two_tenants: None, page: str, role: Role
) -> None:
    at = open_page(console(somebody(people, role)), page)
    assert not at.exception
    refusal = f"Your role ({role.replace('_', ' ')}) may not open this page"
    assert (refusal in said(at)) == (role not in GUARDED[page])
    if role not in GUARDED[page]:
        assert not any((at.title, at.main.button, at.dataframe, at.metric))


@pytest.mark.parametrize("role", list(Role))
def test_who_is_signed_in_and_as_what_stands_in_the_sidebar(
    console: Console, people: People, two_tenants: None, role: Role
) -> None:
    at = console(somebody(people, role))
    assert not at.exception
    assert f"Signed in as **Dora** · {role.replace('_', ' ')}" in [c.value for c in at.sidebar.caption]


def test_the_tenant_of_the_address_is_chosen_and_kept_over_pages(
    console: Console, people: People, two_tenants: None
) -> None:
    at = console(people("dora", Role.OPERATOR), tenant="globex")
    assert at.sidebar.selectbox[0].value == "globex"
    at = open_page(at, "pages/operations/tenants.py")
    assert at.query_params["tenant"] == "globex"
    at.sidebar.selectbox[0].select("acme").run()
    assert at.query_params["tenant"] == "acme"
    assert "Acme" in [header.value for header in at.subheader]


def test_a_browser_that_draws_the_choice_afresh_begins_with_the_chosen_tenant(
    console: Console, people: People, two_tenants: None
) -> None:
    at = console(people("dora", Role.OPERATOR), tenant="globex")
    keys = set()
    for slug in ("globex", "acme", "globex"):
        if at.sidebar.selectbox[0].value != slug:
            at.sidebar.selectbox[0].select(slug).run()
        chosen = at.sidebar.selectbox[0]
        assert (chosen.value, chosen.proto.default) == (slug, ["acme", "globex"].index(slug))
        assert at.query_params["tenant"] == slug
        keys.add(chosen.key)
    assert len(keys) == 3


@pytest.mark.parametrize("asked", ["globex", "nonsense", "", "acme' OR 1=1"])
def test_a_tenant_of_somebody_elses_in_the_address_is_as_unknown_as_a_made_up_one(
    console: Console, people: People, two_tenants: None, asked: str
) -> None:
    at = console(people("bob", Role.ACCOUNT_MANAGER, "acme"), tenant=asked)
    assert at.sidebar.selectbox[0].options == ["Acme"]
    assert at.sidebar.selectbox[0].value == "acme"
    assert "Globex" not in said(open_page(at, "pages/operations/tenants.py"))


def test_a_tampered_choice_is_looked_up_again(console: Console, people: People, two_tenants: None) -> None:
    at = console(people("bob", Role.ACCOUNT_MANAGER, "acme"), state={"tenant": "globex"})
    at = open_page(at, "pages/operations/tenants.py")
    assert "Globex" not in said(at)
    assert not at.exception


def test_without_a_tenant_one_is_told_what_to_do(console: Console, people: People) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), "pages/sending/senders.py")
    assert "No tenant yet" in said(at)
    at = open_page(console(people("carol", Role.ANALYST)), "pages/sending/senders.py")
    assert "No tenant is assigned to you" in said(at)


def test_signing_in_on_the_form_and_out_again(
    console: Console, people: People, two_tenants: None, bare_app: App
) -> None:
    people("dora", Role.OPERATOR)
    at = fill_in(console(None), "dora", "wrong horse battery")
    assert "Username or password is not right." in said(at)
    at = fill_in(at, " Dora ", PASSWORD)
    assert "Signed in as **Dora**" in said(at)
    at.sidebar.button("sign_out").click().run()
    assert [field.label for field in at.text_input] == ["Username", "Password"]
    assert users.revoke_all(bare_app, SYSTEM, "dora") == 0, "signing out had ended the session"


def test_a_disabled_user_is_told_what_a_wrong_password_is_told(
    console: Console, people: People, bare_app: App
) -> None:
    people("root", Role.ADMIN)
    people("dora", Role.OPERATOR)
    users.disable(bare_app, SYSTEM, "dora")
    for name in ("dora", "nobody"):
        assert "Username or password is not right." in said(fill_in(console(None), name, PASSWORD))


def test_the_two_new_passwords_must_agree(console: Console, bare_app: App) -> None:
    user, made = users.create(bare_app, SYSTEM, username="dora", name="Dora", role=Role.ADMIN)
    at = console(user)
    assert "Choose your own password" in said(at)
    assert not at.sidebar.selectbox
    for new, again, answer in (
        ("a sentence of my own", "another sentence", "differ"),
        ("short", "short", "12 characters"),
        ("a sentence of my own", "a sentence of my own", "Your password is changed"),
    ):
        at.text_input("change_password.old").input(str(made))
        at.text_input("change_password.new").input(new)
        at.text_input("change_password.again").input(again)
        at.button("change_password.save").click().run()
        assert answer in said(at)
    assert [title.value for title in at.title] == ["Overview"]


def fill_in(at: AppTest, username: str, password: str) -> AppTest:
    at.text_input[0].input(username)
    at.text_input[1].input(password)
    return at.button[0].click().run()
