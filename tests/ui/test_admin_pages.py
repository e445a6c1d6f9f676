"""Users, Audit log and Health."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from streamlit.testing.v1 import AppTest

from core import audit, users
from core.access import SYSTEM, Actor, Role
from core.app import App
from core.db.models import JobRun, User, Worker
from tests.ui.conftest import PASSWORD, Console, open_page, said

People = Callable[..., User]
USERS, AUDIT, HEALTH = "pages/admin/users.py", "pages/admin/audit.py", "pages/admin/health.py"


def choose(at: AppTest, username: str) -> AppTest:
    names = list(at.dataframe[0].value["Username"])
    row = names.index(username)
    at.session_state[f"users.list.{len(names)}"] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    return at.run()


# Users


def test_an_added_user_is_given_a_password_that_is_shown_once(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = open_page(console(people("ada", Role.ADMIN)), USERS)
    at.button("users.add").click().run()
    at.text_input("users.new.name").input("Emil Berg")
    at.text_input("users.new.username").input("emil")
    at.selectbox("users.new.role").select(Role.ACCOUNT_MANAGER)
    at.multiselect("users.new.tenants").select("acme")
    at.button("users.new.save").click().run()
    assert "Emil Berg may sign in" in said(at)
    made = at.code[0].value
    assert users.check_password(bare_app, "emil", made, None) is not None
    assert list(at.dataframe[0].value["Tenants"]) == ["all", "acme"]
    assert made not in said(at.run())


def test_what_is_wrong_is_said_in_the_dialog_which_stays(console: Console, people: People) -> None:
    at = open_page(console(people("ada", Role.ADMIN)), USERS)
    at.button("users.add").click().run()
    at.text_input("users.new.username").input("ada")
    at.button("users.new.save").click().run()
    assert "Say the person" in said(at)
    at.text_input("users.new.name").input("Ada")
    at.button("users.new.save").click().run()
    assert "already" in said(at)


def test_a_user_is_assigned_disabled_and_enabled(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    emil = people("emil", Role.ANALYST, "acme")
    token = users.redeem_ticket(bare_app, users.issue_ticket(bare_app, emil.id), None, None)
    at = choose(open_page(console(people("ada", Role.ADMIN)), USERS), "emil")
    at.multiselect("users.tenants.emil").select("globex")
    at.button("users.save.emil").click().run()
    actor = users.actor_of(bare_app, token)
    assert actor is not None
    assert actor.tenant_ids is not None
    assert len(actor.tenant_ids) == 2
    at = choose(at, "emil")
    at.button("users.disable").click().run()
    at.button("confirm.yes").click().run()
    assert users.find_sign_in(bare_app, token) is None
    at = choose(at, "emil")
    at.button("users.enable").click().run()
    assert users.check_password(bare_app, "emil", PASSWORD, None) is not None


def test_a_reset_password_is_shown_once(console: Console, people: People, bare_app: App) -> None:
    people("emil", Role.ANALYST)
    at = choose(open_page(console(people("ada", Role.ADMIN)), USERS), "emil")
    at.button("users.reset").click().run()
    at.button("confirm.yes").click().run()
    assert users.check_password(bare_app, "emil", at.code[0].value, None) is not None
    assert not at.run().code


def test_names_are_shown_as_text_whatever_stands_in_them(
    console: Console, people: People, bare_app: App
) -> None:
    evil = "![x](https://evil.example/p.png) <b>bold</b> a@evil.example :red[x]"
    users.create(bare_app, SYSTEM, username="evil", name=evil, role=Role.ANALYST, password=PASSWORD)
    at = choose(open_page(console(people("ada", Role.ADMIN)), USERS), "evil")
    header = at.subheader[0].value
    assert "`![x](https://evil.example/p.png)`" in header
    assert r"\<b\>bold" in header
    assert "`a@evil.example`" in header
    assert r"\:red\[x\]" in header


# Audit log


def test_entries_are_paged_newest_first_and_by_tenant(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    dora = people("dora", Role.OPERATOR)
    with bare_app.db.begin() as session:
        for n in range(250):
            audit.record(
                session, Actor("maria", Role.OPERATOR), "count", f"number {n}", at=bare_app.now(),
                tenant_id=1 if n % 2 else None, reasons=["a", "b"],
            )  # fmt: skip
    at = open_page(console(dora), AUDIT)
    assert at.dataframe[0].value["To"].iloc[0] == "dora"
    assert at.dataframe[0].value["Detail"].iloc[1] == "reasons: a b"
    at.button("audit.next").click().run()
    at.button("audit.next").click().run()
    assert at.dataframe[0].value["To"].iloc[-1] == "dora", "the first entry: dora was made"
    assert at.button("audit.next").disabled
    at.button("audit.previous").click().run()
    at.selectbox("audit.tenant").select(1).run()
    shown = at.dataframe[0].value
    assert len(shown) == 100
    assert set(shown["Tenant"]) == {"Acme"}
    assert shown["To"].iloc[0] == "number 249"


# Health


def test_without_a_scheduler_one_is_told_that_nothing_works(
    console: Console, people: People, app: App
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    assert not at.exception
    assert "No scheduler is running" in said(at)


def test_jobs_and_schedulers_are_shown_as_they_are(console: Console, people: People, app: App) -> None:
    now = app.now()
    with app.db.begin() as session:
        session.add(Worker(name="one", host="box", pid=1, started_at=now - timedelta(hours=2), beat_at=now))
        session.add(JobRun(name="verify_identities", started_at=now, finished_at=now, error="DNS is silent."))
        session.add(JobRun(name="poll_events", started_at=now, finished_at=now - timedelta(minutes=1)))
    at = open_page(console(people("dora", Role.OPERATOR)), HEALTH)
    assert not at.exception
    assert "No scheduler is running" not in said(at)
    jobs = at.dataframe[1].value
    assert list(jobs["Status"]) == [["Running"], ["Failed"]]
    assert list(jobs["Said"]) == ["", "DNS is silent."]
    assert list(at.dataframe[0].value["Status"]) == [["Active"]]
