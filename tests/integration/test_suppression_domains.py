"""Entries for whole domains, several at once, and what becomes of mail to whom they name."""

from __future__ import annotations

import pytest
from sqlalchemy import event, select

from core import audit, campaigns, reports, sending, suppressions
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Message
from core.errors import InputError, NotFound, PermissionDenied, ProviderError
from tests.campaigning import draft, send_until_idle
from tests.conftest import Cast, verified_sender
from tests.ses_lists import REFUSED, at_ses, here, listed, listed_at_ses
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PEOPLE = ["ann@example.com", "Bert@Example.net", "cleo@mail.example.net", "dora@example.org"]


def among(app: App, tenant_id: int, *keys: str) -> dict[str, str]:
    with app.db.read() as session:
        return suppressions.suppressed_among(session, tenant_id, keys)


def test_an_entry_for_a_domain_is_for_everybody_there_and_nobody_else(app: App, cast: Cast) -> None:
    entry = suppressions.add(app, cast.bob, cast.acme.id, " @Exämple.NET ", "they left")
    assert (entry.address, entry.reason, entry.note) == ("@xn--exmple-cua.net", "MANUAL", "they left")
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    suppressions.add(app, cast.bob, cast.acme.id, "own@example.net")
    keys = [
        "a@example.net",
        "b@mail.example.net",
        "c@example.net.org",
        "own@example.net",
        "d@xn--exmple-cua.net",
    ]
    assert among(app, cast.acme.id, *keys) == {
        "a@example.net": "@example.net",
        "own@example.net": "own@example.net",
        "d@xn--exmple-cua.net": "@xn--exmple-cua.net",
    }
    assert among(app, cast.globex.id, *keys) == {}
    suppressions.release(app, SYSTEM, cast.acme.id, "@Example.net", "they are back")
    assert among(app, cast.acme.id, *keys[:4]) == {"own@example.net": "own@example.net"}


def test_five_hundred_addresses_are_asked_about_in_one_statement(app: App, cast: Cast) -> None:
    suppressions.add(app, cast.bob, cast.acme.id, "@d7.example.net")
    keys = [f"p{number}@d{number}.example.net" for number in range(500)]
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(app.db.engine, "before_cursor_execute", note)
    try:
        assert among(app, cast.acme.id, *keys) == {"p7@d7.example.net": "@d7.example.net"}
    finally:
        event.remove(app.db.engine, "before_cursor_execute", note)
    assert len([statement for statement in asked if "suppressions" in statement]) == 1


@SQLITE
@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("@", "a domain must follow"),
        ("@*.example.com", "Give each subdomain its own"),
        ("@a@example.com", "a domain must follow"),
        ("@nowhere", "period|valid"),
        ("@exa mple.com", "space|character"),
        ("@<script>.com", "alone"),
        ("example.com", "@-sign"),
        ("@Gmail.com", "Very many people"),
    ],
)
def test_what_is_no_domain_is_not_added(app: App, cast: Cast, typed: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        suppressions.add(app, cast.bob, cast.acme.id, typed)
    assert listed(app, cast.acme.id) == {}


def test_a_whole_mailbox_provider_is_added_when_somebody_means_it(app: App, cast: Cast) -> None:
    assert suppressions.whole_providers_in("a@gmail.com @gmail.com, nobody @WEB.de") == [
        "@gmail.com",
        "@web.de",
    ]
    suppressions.add(app, cast.bob, cast.acme.id, "@gmail.com", whole_provider=True)
    assert among(app, cast.acme.id, "a@gmail.com") == {"a@gmail.com": "@gmail.com"}


def test_several_are_added_at_once_and_bad_ones_told_with_their_lines(
    app: App, cast: Cast, alice: Actor
) -> None:
    suppressions.add(app, cast.bob, cast.acme.id, "there@example.com")
    text = "A@example.com; a@example.com\n\n@example.net,there@example.com\r\nnobody @gmail.com\n"
    done = suppressions.add_several(app, cast.bob, cast.acme.id, text, "asked by phone")
    assert (done.added, done.already) == (["@example.net", "a@example.com"], ["there@example.com"])
    assert [(row.line, row.value) for row in done.rejected] == [(4, "nobody"), (4, "@gmail.com")]
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert (entry.action, entry.detail) == ("add suppression", {"note": "asked by phone", "added": 2})
    again = suppressions.add_several(app, cast.bob, cast.acme.id, text, "asked by phone")
    assert again.added == []
    with pytest.raises(PermissionDenied):
        suppressions.add_several(app, cast.carol, cast.acme.id, text)
    with pytest.raises(NotFound):
        suppressions.add_several(app, cast.charlie, cast.acme.id, text)


@SQLITE
def test_when_none_of_several_is_good_nothing_is_stored(app: App, cast: Cast) -> None:
    for text, said in ((" \n", "at least one"), ("nobody", "None of these"), ("x" * 300, "None of these")):
        with pytest.raises(InputError, match=said):
            suppressions.add_several(app, cast.bob, cast.acme.id, text)
    with pytest.raises(InputError, match="import them as a CSV"):
        suppressions.add_several(
            app, cast.bob, cast.acme.id, "\n".join(f"a{n}@example.com" for n in range(1001))
        )
    assert listed(app, cast.acme.id) == {}


def test_a_campaign_leaves_out_a_domain_and_says_so(app: App, cast: Cast, simulator: Simulator) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    campaign_id = draft(app, cast.acme.id, sender.id, PEOPLE)
    suppressions.add(app, cast.bob, cast.acme.id, "@example.org")  # when the campaign is stored already
    campaigns.start(app, SYSTEM, cast.acme.id, campaign_id)
    send_until_idle(app)
    with app.db.read() as session:
        rows = session.execute(
            select(Message.address, Message.status, Message.reason).where(Message.tenant_id == cast.acme.id)
        )
        reasons = {row.address: (row.status, row.reason) for row in rows}
    assert reasons["Bert@example.net"] == (
        "suppressed",
        "Everybody at example.net is on the suppression list.",
    )
    assert reasons["dora@example.org"] == (
        "suppressed",
        "Everybody at example.org is on the suppression list.",
    )
    assert {address for address, (status, _) in reasons.items() if status == "sent"} == {
        "ann@example.com", "cleo@mail.example.net",
    }  # fmt: skip


def test_a_single_mail_to_a_suppressed_domain_is_refused_with_the_reason(
    app: App, cast: Cast, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    with pytest.raises(InputError, match=r"writes to nobody at example\.net: @example\.net is on its"):
        sending.send(
            app,
            cast.bob,
            cast.acme.id,
            sender_id=sender.id,
            to="Bert@Example.net",
            subject="Hi",
            html="<p>Hi</p>",
        )


def test_an_event_about_an_address_of_a_suppressed_domain_makes_an_entry_of_the_address(
    app: App, cast: Cast
) -> None:
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    here(app, cast.acme.id, "bert@example.net")
    assert listed(app, cast.acme.id) == {"@example.net": "manual", "bert@example.net": "event"}


@SQLITE
def test_an_entry_is_released_as_it_is_spelt_anywhere(app: App, cast: Cast, alice: Actor) -> None:
    for typed, again in (("@Exämple.net", "@exÄmple.net"), ("Jo@Exämple.net", " jo@xn--exmple-cua.net")):
        suppressions.add(app, cast.bob, cast.acme.id, typed)
        suppressions.release(app, alice, cast.acme.id, again, "asked")
    assert listed(app, cast.acme.id) == {}


def test_an_address_without_an_entry_of_its_own_is_released_with_its_domain_only(
    app: App, cast: Cast, alice: Actor
) -> None:
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    with pytest.raises(NotFound, match=r"no entry of its own: @example\.net is on the suppression list"):
        suppressions.release(app, alice, cast.acme.id, "bert@example.net", "asked")


def test_who_unsubscribed_is_released_by_their_own_wish_only(app: App, cast: Cast, alice: Actor) -> None:
    here(app, cast.acme.id, "ann@example.com", reason="UNSUBSCRIBE")
    with pytest.raises(InputError, match="only when the recipient asks"):
        suppressions.release(app, alice, cast.acme.id, "ann@example.com", "we think so")
    assert listed(app, cast.acme.id)
    suppressions.release(app, alice, cast.acme.id, "ann@example.com", "wrote to us", recipient_asked=True)
    assert listed(app, cast.acme.id) == {}
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert entry.detail["recipient_asked"] is True


def test_several_are_released_here_and_at_ses_and_each_that_stays_says_why(
    app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    here(app, cast.acme.id, "ann@example.com", "@example.net")
    here(app, cast.acme.id, "bert@example.com", reason="COMPLAINT")
    here(app, cast.acme.id, "cleo@example.com", reason="UNSUBSCRIBE")
    at_ses(simulator, "acme", "ann@example.com", "bert@example.com")
    wanted = ["Ann@example.com", "@example.net", "bert@example.com", "cleo@example.com", "dora@example.com"]
    done = suppressions.release_several(app, alice, cast.acme.id, wanted, "mended")
    assert done.released == ["ann@example.com", "@example.net"]
    assert list(done.kept) == ["bert@example.com", "cleo@example.com", "dora@example.com"]
    assert [
        part in why
        for part, why in zip(("complaint", "unsubscribed", "is not on"), done.kept.values(), strict=True)
    ] == [True] * 3
    assert listed_at_ses(app, "acme") == {"bert@example.com"}


@SQLITE
def test_what_ses_does_not_release_stays_suppressed_and_says_so(
    app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    here(app, cast.acme.id, "ann@example.com")
    simulator.faults({"operation": "DeleteSuppressedDestination", **REFUSED})
    with pytest.raises(ProviderError):
        suppressions.release(app, alice, cast.acme.id, "ann@example.com", "mended")
    done = suppressions.release_several(app, alice, cast.acme.id, ["ann@example.com"], "mended")
    assert "SES" in done.kept["ann@example.com"]
    assert listed(app, cast.acme.id) == {"ann@example.com": "event"}


@SQLITE
def test_an_entry_tells_its_story_to_its_own_tenant_only(app: App, cast: Cast, alice: Actor) -> None:
    here(app, cast.acme.id, "ann@example.com")
    suppressions.release(app, alice, cast.acme.id, "ann@example.com", "<i>mended</i>")
    entry = suppressions.add(app, cast.bob, cast.acme.id, "ann@example.com", "again \x00 '\"<b>")
    rule = suppressions.add(app, cast.bob, cast.acme.id, "@example.com")
    told = suppressions.story(app, cast.carol, cast.acme.id, entry.id)
    assert told.entry.note == "again � '\"<b>"
    assert [(row.reason, row.released_by, row.release_reason) for row in told.earlier] == [
        ("BOUNCE", "alice", "<i>mended</i>")
    ]
    assert told.domain is not None
    assert told.domain.id == rule.id
    with pytest.raises(NotFound, match="no such entry"):
        suppressions.story(app, cast.charlie, cast.globex.id, entry.id)


@SQLITE
def test_who_looks_an_address_up_is_told_of_its_domain(app: App, cast: Cast, simulator: Simulator) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    draft(app, cast.acme.id, sender.id, ["bert@example.net"])
    suppressions.add(app, cast.bob, cast.acme.id, "@example.net")
    [story] = reports.find_messages(app, cast.bob, cast.acme.id, "Bert@example.net")
    assert story.suppression is not None
    assert story.suppression.address == "@example.net"
    here(app, cast.acme.id, "bert@example.net")
    [story] = reports.find_messages(app, cast.bob, cast.acme.id, "bert@example.net")
    assert story.suppression is not None
    assert story.suppression.address == "bert@example.net"
