"""Campaigns: a list becomes recipients or is refused whole; every state may be left only as it should."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from core import campaigns, senders, sending, suppressions, tenants
from core.access import Actor
from core.app import App
from core.db.models import Campaign, Content, Message, Sender
from core.errors import Conflict, InputError, NotFound, PermissionDenied, PostyardError, SendingPaused
from tests.campaigning import (
    HTML,
    SUBJECT,
    TEXT,
    addresses,
    counts,
    csv_of,
    draft,
    send_until_idle,
    started,
    view,
)
from tests.conftest import DATA, Cast
from tests.simulators import Simulator


@pytest.fixture
def sender(news_sender: Sender) -> Sender:
    return news_sender


def create(
    app: App, actor: Actor, cast: Cast, sender: Sender, csv: bytes, **more: object
) -> campaigns.Created:
    values = {"name": "Winter", "subject": SUBJECT, "html": HTML, "text": TEXT, "filename": "people.csv"}
    return campaigns.create(app, actor, cast.acme.id, sender_id=sender.id, csv=csv, **{**values, **more})  # type: ignore[arg-type]


def rows_stored(app: App) -> dict[str, int]:
    with app.db.read() as session:
        return {
            table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Campaign, Content, Message)
        }


def test_a_list_becomes_a_draft_with_its_recipients(app: App, cast: Cast, sender: Sender) -> None:
    created = create(app, cast.bob, cast, sender, csv_of(addresses(30)))
    assert (created.accepted, created.rejected, created.duplicates) == (30, [], [])
    seen = view(app, cast.acme.id, created.campaign_id)
    assert (seen.campaign.status, seen.counts["pending"], seen.recipients) == ("DRAFT", 30, 30)
    assert len(seen.counts) == 11
    assert seen.adds_up


def test_bad_rows_are_left_out_with_line_and_reason(app: App, cast: Cast, sender: Sender) -> None:
    csv = b"email,first_name\nanna@example.com,Anna\nnot-an-address,Ben\nANNA@example.com,Anna\n"
    created = create(app, cast.bob, cast, sender, csv)
    assert created.accepted == 1
    assert [(row.line, row.value) for row in created.rejected] == [(3, "not-an-address")]
    assert [row.line for row in created.duplicates] == [4]


@pytest.mark.parametrize(
    ("csv", "more"),
    [
        (b"", {}),
        (b"first_name,city\nAnna,Ulm\n", {}),
        (b"email,first_name\n", {}),
        (b"email,first_name\nnot-an-address,Anna\n", {}),
        (b"PK\x03\x04zipped", {"filename": "people.xlsx"}),
        (b"email,first_name\nanna@example.com,Anna\n", {"mapping": {"email": "Mailadresse"}}),
        (b"email,first_name\nanna@example.com,Anna\n", {"subject": ""}),
        (b"email,first_name\nanna@example.com,Anna\n", {"html": "<p>{{first_name</p>"}),
        (b"email,first_name\nanna@example.com,Anna\n", {"name": "  "}),
        (b"email\nanna@example.com\n", {}),
    ],
    ids=["empty", "no address column", "no rows", "no good row", "zip", "wrong map", "no subject",
         "broken field", "no name", "field nobody has"],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_and_stores_nothing(
    app: App, cast: Cast, sender: Sender, csv: bytes, more: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        create(app, cast.bob, cast, sender, csv, **more)
    assert rows_stored(app) == {"campaigns": 0, "contents": 0, "messages": 0}


def test_columns_can_be_mapped_by_the_person(app: App, cast: Cast, sender: Sender) -> None:
    csv = "Kontakt;Rufname\nanna@example.com;Anna\n".encode("latin-1")
    created = create(app, cast.bob, cast, sender, csv, mapping={"email": "Kontakt", "first_name": "Rufname"})
    assert created.accepted == 1


def test_the_dirty_list_tells_each_bad_row(app: App, cast: Cast, sender: Sender) -> None:
    csv = (DATA / "recipients_dirty_latin1.csv").read_bytes()
    created = create(
        app, cast.bob, cast, sender, csv, mapping={"email": "E-Mail"}, fallbacks={"first_name": "you"}
    )
    assert created.accepted > 1_000
    assert created.rejected
    assert all(row.line > 1 and row.reason for row in [*created.rejected, *created.duplicates])
    assert created.accepted + len(created.rejected) + len(created.duplicates) <= csv.count(b"\n")


def test_a_suppressed_address_is_imported_as_suppressed(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    suppressions.add(app, alice, cast.acme.id, "person00001@example.com")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    assert counts(app, cast.acme.id, campaign_id) == {"pending": 2, "suppressed": 1}


def test_another_tenants_campaign_does_not_exist(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    for use_case in (campaigns.start, campaigns.pause, campaigns.resume, campaigns.cancel, campaigns.status):
        with pytest.raises(NotFound):
            use_case(app, cast.charlie, cast.acme.id, campaign_id)
        with pytest.raises(NotFound):
            use_case(app, cast.charlie, cast.globex.id, campaign_id)
    with pytest.raises(NotFound):
        campaigns.list_messages(app, cast.charlie, cast.globex.id, campaign_id)
    with pytest.raises(NotFound):
        campaigns.find_tenant_of(app, cast.charlie, campaign_id)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "DRAFT"


def test_another_tenants_sender_cannot_be_used(app: App, cast: Cast, sender: Sender) -> None:
    with pytest.raises(NotFound):
        campaigns.create(
            app, cast.charlie, cast.globex.id, name="Theft", sender_id=sender.id, subject=SUBJECT,
            html=HTML, csv=csv_of(addresses(1)),
        )  # fmt: skip
    assert rows_stored(app)["campaigns"] == 0


def test_an_analyst_may_look_but_not_touch(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    with pytest.raises(PermissionDenied):
        campaigns.start(app, cast.carol, cast.acme.id, campaign_id)
    with pytest.raises(PermissionDenied):
        create(app, cast.carol, cast, sender, csv_of(addresses(3)))
    with pytest.raises(PermissionDenied):
        campaigns.list_messages(app, cast.carol, cast.acme.id, campaign_id)
    assert campaigns.list_campaigns(app, cast.carol, cast.acme.id)[0].recipients == 3


def test_an_unverified_sender_cannot_start(app: App, simulator: Simulator, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    with pytest.raises(InputError, match="not verified"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "DRAFT"


def test_a_paused_tenant_cannot_start(app: App, cast: Cast, sender: Sender, alice: Actor) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
    with pytest.raises(SendingPaused, match="looks bought"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id)


def test_starting_twice_at_once_starts_once(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))

    def start(_: int) -> str:
        try:
            return campaigns.start(app, cast.bob, cast.acme.id, campaign_id).campaign.status
        except Conflict:
            return "told"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, range(4))) == ["SENDING", "told", "told", "told"]


@pytest.mark.parametrize("use_case", [campaigns.pause, campaigns.resume])
def test_a_draft_can_be_neither_paused_nor_resumed(
    app: App, cast: Cast, sender: Sender, use_case: object
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    with pytest.raises(Conflict, match="is DRAFT"):
        use_case(app, cast.bob, cast.acme.id, campaign_id)  # type: ignore[operator]


def test_cancelling_ends_it_for_good(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    campaigns.cancel(app, cast.bob, cast.acme.id, campaign_id)
    assert counts(app, cast.acme.id, campaign_id) == {"cancelled": 3}
    for use_case in (campaigns.start, campaigns.resume, campaigns.cancel, campaigns.pause):
        with pytest.raises(PostyardError):
            use_case(app, cast.bob, cast.acme.id, campaign_id)


def test_recipients_are_listed_page_by_page(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(5))
    first = campaigns.list_messages(app, cast.bob, cast.acme.id, campaign_id, limit=3)
    rest = campaigns.list_messages(app, cast.bob, cast.acme.id, campaign_id, after_id=first[-1].id)
    assert [message.address for message in [*first, *rest]] == addresses(5)


def test_checking_tells_what_creating_would_do_and_stores_nothing(
    app: App, cast: Cast, sender: Sender
) -> None:
    csv = b"email,first_name\nanna@example.com,Anna\nnot-an-address,Ben\nANNA@example.com,Anna\n"
    texts = {"subject": SUBJECT, "html": HTML, "text": TEXT, "filename": "people.csv"}
    checked = campaigns.check(app, cast.bob, cast.acme.id, csv=csv, **texts)  # type: ignore[arg-type]
    assert rows_stored(app)["campaigns"] == 0
    created = create(app, cast.bob, cast, sender, csv)
    assert (len(checked.accepted), checked.rejected) == (created.accepted, created.rejected)
    with pytest.raises(PermissionDenied):
        campaigns.check(app, cast.carol, cast.acme.id, csv=csv, **texts)  # type: ignore[arg-type]
    with pytest.raises(NotFound):
        campaigns.check(app, cast.charlie, cast.acme.id, csv=csv, **texts)  # type: ignore[arg-type]


def test_an_unsubscribe_link_stands_in_every_mail_of_a_reachable_installation(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    html = "<p>Hello {{first_name}}. <a href='{{unsubscribe_url}}'>No more mail</a></p>"
    with pytest.raises(InputError, match="unsubscribe_url"):
        create(app, cast.bob, cast, sender, csv_of(addresses(1)), html=html)
    reachable = replace(
        app, settings=app.settings.model_copy(update={"public_url": "https://out.acme-mail.io"})
    )
    created = create(reachable, cast.bob, cast, sender, csv_of(addresses(1)), html=html)
    campaigns.start(reachable, cast.bob, cast.acme.id, created.campaign_id)
    send_until_idle(reachable)
    [mail] = simulator.messages()
    link = mail["headers"]["List-Unsubscribe"].strip("<>")
    assert link.startswith("https://out.acme-mail.io/u/")
    assert f"<a href='{link}'>" in mail["html"]
    assert mail["headers"]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    suppressions.unsubscribe(reachable, link.rpartition("/")[2])
    with pytest.raises(InputError, match="suppression list"):
        sending.send(
            app, cast.bob, cast.acme.id, sender_id=sender.id, to=addresses(1)[0],
            subject="Hello", html="<p>Hi</p>",
        )  # fmt: skip


def test_a_lists_own_unsubscribe_address_is_used_where_there_is_one(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    html = "<p>Hello {{first_name}}. <a href='{{unsubscribe_url}}'>No more mail</a></p>"
    csv = b"email,first_name,unsubscribe_url\nanna@example.com,Anna,https://own.acme-mail.io/stop\n"
    created = create(app, cast.bob, cast, sender, csv, html=html)
    campaigns.start(app, cast.bob, cast.acme.id, created.campaign_id)
    send_until_idle(app)
    assert counts(app, cast.acme.id, created.campaign_id) == {"sent": 1}
    [mail] = simulator.messages()
    assert "<a href='https://own.acme-mail.io/stop'>" in mail["html"]
