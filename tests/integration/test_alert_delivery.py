"""Alerts on their way to people: once per cause, again until they are taken, none in another's way."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from core import alerts, notices
from core.access import Actor
from core.app import App
from core.db.models import AlertNotice, Tenant
from core.notices import ChannelKind
from tests.alerting import HOST, SECRET, HandClock, Hook, Mailbox, smtp_server, webhook
from tests.conftest import Cast
from tests.offline import two_tenants

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Office:
    """acme with one webhook, and a clock to move."""

    app: App
    cast: Cast
    clock: HandClock
    hook: Hook
    alice: Actor

    def add(self, target: str, kind: ChannelKind = ChannelKind.WEBHOOK) -> int:
        return notices.add(self.app, self.alice, self.cast.acme.id, kind=kind, target=target).id

    def raised(self, cause: str = "identity 1", sentence: str = "It broke.") -> None:
        with self.app.db.begin() as session:
            alerts.raise_once(
                session, kind="domain broken", cause=cause, sentence=sentence,
                tenant_id=self.cast.acme.id, at=self.app.now(),
            )  # fmt: skip

    def cleared(self, cause: str = "identity 1") -> None:
        with self.app.db.begin() as session:
            alerts.clear(session, kind="domain broken", cause=cause, at=self.app.now())

    def send(self, **changed: Any) -> str:
        return notices.send_due(self.app, self.hook.dialler(**changed))

    @property
    def firsts(self) -> list[str]:
        """The first line of each message."""
        return [text.splitlines()[0] for text in self.hook.texts]

    def notices(self) -> list[AlertNotice]:
        with self.app.db.read() as session:
            return list(session.scalars(select(AlertNotice).order_by(AlertNotice.id)))


@pytest.fixture
def office(app: App, alice: Actor) -> Iterator[Office]:
    clock = HandClock()
    app = replace(app, clock=clock)
    with webhook() as hook:
        office = Office(app, two_tenants(app), clock, hook, alice)
        office.add(hook.url)
        yield office


def test_an_alert_is_told_once_and_once_more_when_it_is_over(office: Office) -> None:
    office.raised()
    office.raised(sentence="It is still broken.")
    assert office.send() == "1 sent, 0 not taken"
    office.clock.pass_(hours=3)
    office.raised(sentence="And still.")
    assert office.send() == ""
    office.cleared()
    office.cleared()
    office.send()
    office.send()
    assert office.firsts == ["Acme: It is still broken.", "Over: Acme: And still."]


def test_of_many_schedulers_one_tells_each(office: Office) -> None:
    for number in range(30):
        office.raised(f"identity {number}", f"Number {number} broke.")
    threads = [threading.Thread(target=office.send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = "\n".join(office.hook.texts)
    assert [text.count(f"Number {number} broke.") for number in range(30)] == [1] * 30
    assert len(office.hook.texts) <= 4, "what a channel is owed goes in one message"


def test_what_is_not_taken_is_tried_again_later_and_later_and_given_up_after_a_day(office: Office) -> None:
    office.hook.status = 503
    office.raised()
    assert office.send() == "0 sent, 1 not taken"
    assert office.send() == "", "not at once"
    for minutes in (1, 2, 4):
        office.clock.pass_(minutes=minutes, seconds=1)
        assert office.send() == "0 sent, 1 not taken"
    [view] = notices.list_channels(office.app, office.alice)
    assert (view.waiting, view.last_error) == (1, f"{HOST} answered 503.")
    for _ in range(30):
        office.clock.pass_(hours=6, seconds=1)
        office.send()
    [view] = notices.list_channels(office.app, office.alice)
    assert (view.waiting, view.given_up, view.last_sent_at) == (0, 1, None)
    assert len(office.hook.got) < 15
    office.hook.status = 200
    office.cleared()
    office.send()
    assert office.hook.status == 200
    assert not any("Over" in text for text in office.hook.texts), "nobody knows of it"


@SQLITE
def test_a_taken_one_ends_the_errors(office: Office) -> None:
    office.hook.status = 500
    office.raised()
    office.send()
    office.hook.status = 204
    office.clock.pass_(minutes=2)
    assert office.send() == "1 sent, 0 not taken"
    [view] = notices.list_channels(office.app, office.alice)
    assert (view.waiting, view.given_up, view.last_error) == (0, 0, None)
    assert view.last_sent_at == office.clock.at


@SQLITE
def test_that_it_is_over_is_told_after_that_it_began(office: Office) -> None:
    office.hook.status = 500
    office.raised()
    for minutes in (0, 1, 2, 4, 8):
        office.clock.pass_(minutes=minutes, seconds=1)
        office.send()
    office.hook.got.clear()
    office.hook.status = 200
    office.cleared()
    assert office.send() == "", "the first is tried again in some minutes"
    office.clock.pass_(minutes=17)
    assert office.send() == "2 sent, 0 not taken"
    [text] = office.hook.texts
    assert text.index("Acme: It broke.") < text.index("Over: Acme: It broke.")


@SQLITE
def test_what_clears_before_anybody_was_told_is_told_to_nobody(office: Office) -> None:
    office.raised()
    office.cleared()
    assert office.send() == ""
    assert office.notices() == []


@SQLITE
def test_what_goes_on_and_off_is_told_when_it_stays(office: Office) -> None:
    office.raised()
    office.send()
    for _ in range(50):
        office.clock.pass_(minutes=1)
        office.cleared()
        office.send()
        office.clock.pass_(minutes=1)
        office.raised()
        office.send()
    assert office.firsts == ["Acme: It broke.", "Over: Acme: It broke."]
    office.clock.pass_(minutes=10)
    office.send()
    assert office.firsts[2:] == ["Acme: It broke."]
    assert len(alerts.list_history(office.app, office.alice)) == 51, "all of them stay in the history"


@SQLITE
def test_a_notice_of_a_scheduler_that_died_is_sent_by_another(office: Office) -> None:
    office.raised()
    with office.app.db.begin() as session:
        [notice] = session.scalars(select(AlertNotice)).all()
        notice.tries, notice.retry_at = 1, office.clock.at.replace(minute=5)
    assert office.send() == ""
    office.clock.pass_(minutes=5)
    assert office.send() == "1 sent, 0 not taken"


@SQLITE
def test_one_who_was_slower_than_its_claim_changes_nothing_more(office: Office) -> None:
    """Its answer comes when another has sent the notice already."""
    office.raised()

    def late(host: str) -> list[str]:
        office.clock.pass_(minutes=6)
        assert office.send() == "1 sent, 0 not taken"
        return ["169.254.169.254"]

    office.send(addresses_of=late)
    [notice] = office.notices()
    assert (notice.tries, notice.retry_at, notice.error) == (2, None, None)
    assert notice.sent_at is not None


@SQLITE
def test_a_time_from_a_wrong_clock_does_not_keep_a_notice_for_ever(office: Office) -> None:
    office.raised()
    with office.app.db.begin() as session:
        for notice in session.scalars(select(AlertNotice)):
            notice.retry_at = office.clock.at.replace(year=2031)
    assert office.send() == "1 sent, 0 not taken"


@SQLITE
def test_nothing_is_sent_by_a_channel_that_is_switched_off_or_removed_meanwhile(office: Office) -> None:
    second = office.add(f"https://{HOST}:{office.hook.port}{SECRET}2")
    third = office.add(f"https://{HOST}:{office.hook.port}{SECRET}3")
    office.raised()
    notices.change(office.app, office.alice, office.cast.acme.id, second, is_active=False)
    notices.remove(office.app, office.alice, office.cast.acme.id, third)
    office.send()
    assert office.hook.paths == [SECRET]


@SQLITE
def test_a_time_zone_that_this_machine_does_not_know_keeps_no_alert_back(office: Office) -> None:
    with office.app.db.begin() as session:
        session.get_one(Tenant, office.cast.acme.id).timezone = "Mars/Base"
    office.raised()
    assert office.send() == "1 sent, 0 not taken"


def test_a_dead_webhook_does_not_delay_a_mail(office: Office) -> None:
    with smtp_server() as mailbox:
        office.app = replace(office.app, settings=with_smtp(office.app, mailbox))
        office.add("ann@example.com", ChannelKind.EMAIL)
        office.hook.dripping.set()
        office.raised()
        came: list[bool] = []
        sending = threading.Thread(target=office.send, kwargs={"seconds": 5.0})
        sending.start()
        for _ in range(200):
            if mailbox.mails:
                break
            sending.join(0.02)
        came.append(sending.is_alive())
        office.raised("identity 2", "A second one.")
        for _ in range(200):
            if len(mailbox.mails) == 2:
                break
            sending.join(0.02)
        came.append(sending.is_alive())
        office.hook.dripping.clear()
        sending.join()
    assert came == [True, True], "both mails came while the webhook was still silent"
    assert len(mailbox.mails) == 2


def with_smtp(app: App, mailbox: Mailbox) -> Any:
    return app.settings.model_copy(
        update={
            "alert_from": "Postyard <alerts@postyard-mail.io>",
            "smtp_url": SecretStr(f"smtp://127.0.0.1:{mailbox.port}"),
        }
    )
