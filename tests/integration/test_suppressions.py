"""Suppressions: who must not be written to, per tenant, from every source, and out and in as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from core import audit, suppressions
from core.access import Actor
from core.app import App, build_app
from core.db.models import Campaign, Content, Identity, Message, Sender, Suppression
from core.db.states import SuppressionReason
from core.errors import InputError, NotFound, PermissionDenied
from core.settings import Settings
from core.suppressions import Imported, Provenance
from tests.conftest import Cast
from tests.offline import two_tenants

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
BOUNCE = Provenance(SuppressionReason.BOUNCE, "event", "postyard", note="550 unknown user")
COMPLAINT = Provenance(SuppressionReason.COMPLAINT, "event", "postyard", note="abuse")


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    app = build_app(settings)
    yield app
    app.db.dispose()


@pytest.fixture
def cast(app: App) -> Cast:
    return two_tenants(app)


def suppress(app: App, tenant_id: int, addresses: dict[str, Provenance]) -> list[str]:
    with app.db.begin() as session:
        return suppressions.suppress(session, tenant_id, addresses, NOW)


def among(app: App, tenant_id: int, *keys: str) -> set[str]:
    with app.db.read() as session:
        return set(suppressions.suppressed_among(session, tenant_id, keys))


def export(app: App, actor: Actor, tenant_id: int) -> str:
    return "".join(suppressions.export_csv(app, actor, tenant_id))


def listed(app: App, cast: Cast) -> list[tuple[str, str, str]]:
    found = suppressions.list_suppressions(app, cast.carol, cast.acme.id)
    return [(row.address, row.reason, row.note) for row in found]


def sent_message(app: App, tenant_id: int, address: str = "Reader@example.com") -> Message:
    with app.db.begin() as session:
        identity = Identity(
            tenant_id=tenant_id, name=f"mail{tenant_id}.acme-mail.io", type="DOMAIN", created_at=NOW
        )
        content = Content(tenant_id=tenant_id, subject="s", html="h", text="t", created_at=NOW)
        session.add_all([identity, content])
        session.flush()
        sender = Sender(
            tenant_id=tenant_id, identity_id=identity.id, address="a@acme-mail.io", created_at=NOW
        )
        session.add(sender)
        session.flush()
        campaign = Campaign(
            tenant_id=tenant_id, sender_id=sender.id, content_id=content.id, name="May", created_by="bob",
            created_at=NOW,
        )  # fmt: skip
        session.add(campaign)
        session.flush()
        message = Message(
            tenant_id=tenant_id, campaign_id=campaign.id, sender_id=sender.id, content_id=content.id,
            address=address, address_key=address.lower(), created_at=NOW,
        )  # fmt: skip
        session.add(message)
    return message


def test_a_block_is_suppressed_once_and_only_the_new_ones_are_returned(app: App, cast: Cast) -> None:
    first = {f"p{number}@example.com": BOUNCE for number in range(1200)}
    assert sorted(suppress(app, cast.acme.id, first)) == sorted(first)
    assert suppress(app, cast.acme.id, {"p1@example.com": BOUNCE, "New@example.com": BOUNCE}) == [
        "new@example.com"
    ]
    keys = [f"p{number}@example.com" for number in range(1300)]
    assert among(app, cast.acme.id, *keys) == set(first)
    assert suppressions.count(app, cast.carol, cast.acme.id) == 1201


def test_nothing_to_suppress_is_nothing(app: App, cast: Cast) -> None:
    assert suppress(app, cast.acme.id, {}) == []
    assert among(app, cast.acme.id) == set()


def test_one_tenants_suppressions_are_not_the_others(app: App, cast: Cast) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    assert among(app, cast.globex.id, "a@example.com") == set()
    assert suppressions.list_suppressions(app, cast.charlie, cast.globex.id) == []
    assert suppress(app, cast.globex.id, {"a@example.com": BOUNCE}) == ["a@example.com"]


def test_a_complaint_outranks_what_was_there_and_nothing_outranks_a_complaint(app: App, cast: Cast) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    assert suppress(app, cast.acme.id, {"a@example.com": COMPLAINT}) == []
    assert suppress(app, cast.acme.id, {"a@example.com": BOUNCE}) == []
    assert listed(app, cast) == [("a@example.com", "COMPLAINT", "abuse")]


@pytest.mark.parametrize("before", ["MANUAL", "BOUNCE"])
def test_who_unsubscribes_from_what_is_kept_for_another_reason_is_released_by_their_own_wish_only(
    app: App, cast: Cast, alice: Actor, before: str
) -> None:
    message = sent_message(app, cast.acme.id)
    suppress(app, cast.acme.id, {"reader@example.com": Provenance(before, "manual", "bob", note="on leave")})
    suppressions.unsubscribe(app, suppressions.unsubscribe_token(app.secret_key(), cast.acme.id, message.id))
    assert listed(app, cast) == [("reader@example.com", "UNSUBSCRIBE", "")]
    with pytest.raises(InputError, match="unsubscribed"):
        suppressions.release(app, alice, cast.acme.id, "reader@example.com", "back from leave")
    suppress(app, cast.acme.id, {"reader@example.com": BOUNCE})
    assert listed(app, cast) == [("reader@example.com", "UNSUBSCRIBE", "")]
    suppress(app, cast.acme.id, {"reader@example.com": COMPLAINT})
    suppressions.unsubscribe(app, suppressions.unsubscribe_token(app.secret_key(), cast.acme.id, message.id))
    assert listed(app, cast) == [("reader@example.com", "COMPLAINT", "abuse")]


def test_several_reasons_of_a_block_outrank_what_was_there(app: App, cast: Cast) -> None:
    keys = [f"p{number}@example.com" for number in range(4)]
    suppress(app, cast.acme.id, dict.fromkeys(keys, BOUNCE))
    unsubscribed = Provenance(SuppressionReason.UNSUBSCRIBE, "unsubscribe", "recipient")
    suppress(app, cast.acme.id, dict.fromkeys(keys[:2], unsubscribed) | dict.fromkeys(keys[2:], COMPLAINT))
    suppress(app, cast.acme.id, dict.fromkeys(keys, unsubscribed))
    found = {address: reason for address, reason, _ in listed(app, cast)}
    assert [found[key] for key in keys] == ["UNSUBSCRIBE", "UNSUBSCRIBE", "COMPLAINT", "COMPLAINT"]


def test_of_rows_for_one_address_an_import_takes_the_reason_that_outranks_the_others(
    app: App, cast: Cast
) -> None:
    rows = [("a", "BOUNCE"), ("a", "UNSUBSCRIBE"), ("a", "MANUAL"), ("b", "COMPLAINT"), ("b", "UNSUBSCRIBE")]
    content = "email,reason\n" + "".join(f"{who}@example.com,{reason}\n" for who, reason in rows)
    suppressions.import_csv(app, cast.bob, cast.acme.id, content.encode(), "list.csv")
    assert sorted(listed(app, cast)) == [
        ("a@example.com", "UNSUBSCRIBE", ""),
        ("b@example.com", "COMPLAINT", ""),
    ]


def test_many_at_once_suppress_an_address_once(app: App, cast: Cast) -> None:
    addresses = {f"p{number}@example.com": BOUNCE for number in range(50)}
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda _: suppress(app, cast.acme.id, addresses), range(16)))
    assert sorted(address for added in done for address in added) == sorted(addresses)


def test_somebody_adds_an_address_by_hand(app: App, cast: Cast, alice: Actor) -> None:
    added = suppressions.add(app, cast.bob, cast.acme.id, " Jo@Exämple.org ", "asked by phone")
    assert (added.address, added.reason, added.source, added.note, added.created_by) == (
        "jo@xn--exmple-cua.org", "MANUAL", "manual", "asked by phone", "bob",
    )  # fmt: skip
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert (entry.action, entry.subject, entry.actor) == ("add suppression", "jo@xn--exmple-cua.org", "bob")


def test_adding_what_is_there_changes_nothing(app: App, cast: Cast, alice: Actor) -> None:
    suppress(app, cast.acme.id, {"a@example.com": COMPLAINT})
    again = suppressions.add(app, cast.bob, cast.acme.id, "A@example.com", "again")
    assert (again.reason, again.note) == ("COMPLAINT", "abuse")
    assert audit.list_entries(app, alice, tenant_id=cast.acme.id) == []


@pytest.mark.parametrize("address", ["", "not-an-address", "a@example.com,b@example.com"])
def test_what_is_no_address_is_not_added(app: App, cast: Cast, address: str) -> None:
    with pytest.raises(InputError):
        suppressions.add(app, cast.bob, cast.acme.id, address)
    assert suppressions.count(app, cast.carol, cast.acme.id) == 0


@pytest.mark.parametrize(
    "call",
    [
        suppressions.list_suppressions,
        suppressions.count,
        lambda *who: suppressions.add(*who, "b@example.com"),
        lambda *who: suppressions.release(*who, "a@example.com", "x"),
        lambda *who: suppressions.import_csv(*who, b"email\nb@example.com\n", ""),
        suppressions.export_csv,
    ],
)
def test_another_tenant_is_as_good_as_missing(
    app: App, cast: Cast, alice: Actor, call: Callable[..., object]
) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    with pytest.raises(NotFound) as foreign:
        call(app, cast.charlie, cast.acme.id)
    with pytest.raises(NotFound) as absent:
        call(app, alice, 999)
    assert str(foreign.value) == str(absent.value) == "There is no such tenant."
    assert suppressions.count(app, alice, cast.acme.id) == 1


def test_an_analyst_reads_and_exports_and_changes_nothing(app: App, cast: Cast) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    assert export(app, cast.carol, cast.acme.id)
    for call in (
        lambda: suppressions.add(app, cast.carol, cast.acme.id, "b@example.com"),
        lambda: suppressions.release(app, cast.carol, cast.acme.id, "a@example.com", "x"),
        lambda: suppressions.release(app, cast.bob, cast.acme.id, "a@example.com", "x"),
        lambda: suppressions.import_csv(app, cast.carol, cast.acme.id, b"email\nb@example.com\n", ""),
    ):
        with pytest.raises(PermissionDenied):
            call()
    assert suppressions.count(app, cast.carol, cast.acme.id) == 1


def test_a_released_address_may_be_written_to_and_stays_in_the_history(
    app: App, cast: Cast, alice: Actor
) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    released = suppressions.release(app, alice, cast.acme.id, " A@example.com", "mailbox is back")
    assert (released.released_by, released.release_reason) == ("alice", "mailbox is back")
    assert among(app, cast.acme.id, "a@example.com") == set()
    assert suppressions.list_suppressions(app, alice, cast.acme.id) == []
    assert suppress(app, cast.acme.id, {"a@example.com": BOUNCE}) == ["a@example.com"]
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Suppression)) == 2
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert entry.detail == {"suppressed_for": "BOUNCE", "reason": "mailbox is back"}


def test_releasing_twice_is_told(app: App, cast: Cast, alice: Actor) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    suppressions.release(app, alice, cast.acme.id, "a@example.com", "x")
    with pytest.raises(NotFound, match=r"a@example\.com is not on the suppression list"):
        suppressions.release(app, alice, cast.acme.id, "a@example.com", "x")


def test_a_release_needs_a_reason(app: App, cast: Cast, alice: Actor) -> None:
    suppress(app, cast.acme.id, {"a@example.com": BOUNCE})
    with pytest.raises(InputError, match="Say why"):
        suppressions.release(app, alice, cast.acme.id, "a@example.com", "  ")


def test_only_an_administrator_releases_after_a_complaint(
    app: App, cast: Cast, alice: Actor, root: Actor
) -> None:
    suppress(app, cast.acme.id, {"a@example.com": COMPLAINT})
    with pytest.raises(PermissionDenied, match="complaint"):
        suppressions.release(app, alice, cast.acme.id, "a@example.com", "x")
    assert among(app, cast.acme.id, "a@example.com")
    suppressions.release(app, root, cast.acme.id, "a@example.com", "opted in again, in writing")
    assert not among(app, cast.acme.id, "a@example.com")


def test_the_list_is_searched_filtered_and_paged(app: App, cast: Cast) -> None:
    suppress(app, cast.acme.id, {f"p{number}@example.com": BOUNCE for number in range(10)})
    suppress(app, cast.acme.id, {"x_1@example.net": COMPLAINT, "x%1@example.net": BOUNCE})

    def find(**how: object) -> list[str]:
        found = suppressions.list_suppressions(app, cast.carol, cast.acme.id, **how)  # type: ignore[arg-type]
        return [row.address for row in found]

    assert find(search="P3@") == ["p3@example.com"]
    assert find(search="x_1") == ["x_1@example.net"]
    assert find(search="%") == ["x%1@example.net"]
    assert find(reason=SuppressionReason.COMPLAINT) == ["x_1@example.net"]
    page = suppressions.list_suppressions(app, cast.carol, cast.acme.id, limit=5)
    assert len({*find(limit=5), *find(before_id=page[-1].id)}) == 12


def test_a_list_is_imported_with_its_reasons_and_every_bad_row_named(
    app: App, cast: Cast, alice: Actor
) -> None:
    content = (
        b"E-Mail;Reason;Note\nA@example.com;complaint;abuse desk\nb@example.com;hard bounce;old\nnobody;;\n"
        b"c@example.com;;\na@EXAMPLE.com;BOUNCE;\n"
    )
    imported = suppressions.import_csv(app, cast.bob, cast.acme.id, content, "list.csv")
    assert (imported.added, imported.already) == (3, 1)
    assert [(row.line, row.value) for row in imported.rejected] == [(4, "nobody")]
    assert sorted(listed(app, cast)) == [
        ("a@example.com", "COMPLAINT", "abuse desk"),
        ("b@example.com", "MANUAL", "hard bounce; old"),
        ("c@example.com", "MANUAL", ""),
    ]
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert entry.detail == {"added": 3, "already": 1, "rejected": 1}


def test_importing_twice_adds_nothing(app: App, cast: Cast) -> None:
    content = b"mail\na@example.com\nb@example.com\n"
    assert suppressions.import_csv(app, cast.bob, cast.acme.id, content, "x") == Imported(2, 0, [])
    assert suppressions.import_csv(app, cast.bob, cast.acme.id, content, "x") == Imported(0, 2, [])


def test_an_import_that_cannot_be_read_stores_nothing(app: App, cast: Cast) -> None:
    for content in (b"", b"PK\x03\x04", b"name\nJo\n", b'email,x\na@example.com,\nb@example.com,"\n'):
        with pytest.raises(InputError):
            suppressions.import_csv(app, cast.bob, cast.acme.id, content, "list.csv")
    with pytest.raises(InputError, match="no column 'E-Mail'"):
        suppressions.import_csv(app, cast.bob, cast.acme.id, b"x\na@example.com\n", "", {"email": "E-Mail"})
    assert suppressions.count(app, cast.carol, cast.acme.id) == 0


def test_an_export_is_formula_safe_and_comes_back_as_it_was(app: App, cast: Cast, alice: Actor) -> None:
    hostile = {
        "=cmd|calc@example.com": Provenance("MANUAL", "manual", "bob", note="=HYPERLINK(1)"),
        "+1@example.com": Provenance("BOUNCE", "event", "postyard", note="\ttab"),
        "-1@example.com": Provenance("COMPLAINT", "event", "postyard", note='\rcr, "quoted"\nlines'),
        "'a@example.com": Provenance("UNSUBSCRIBE", "unsubscribe", "recipient", note="'quote"),
        "z@example.com": Provenance("MANUAL", "manual", "bob", note=";=1"),
    }
    suppress(app, cast.acme.id, hostile)
    text = export(app, cast.carol, cast.acme.id)
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["address", "reason", "source", "note", "created_at", "created_by"]
    assert all(cell[:1] not in tuple("=+-@\t\r\n;") for row in rows for cell in row if cell)
    assert rows[-1][4:] == ["2026-05-04T12:00:00+00:00", "bob"]
    imported = suppressions.import_csv(app, cast.charlie, cast.globex.id, text.encode(), "export.csv")
    assert (imported.added, imported.rejected) == (5, [])
    back = suppressions.list_suppressions(app, cast.charlie, cast.globex.id)
    assert {row.address: (row.reason, row.note) for row in back} == {
        address: (why.reason, why.note.strip()) for address, why in hostile.items()
    }
    entry = audit.list_entries(app, alice, tenant_id=cast.acme.id)[0]
    assert (entry.action, entry.actor, entry.detail) == ("export suppressions", "carol", {"entries": 5})


def test_an_export_is_audited_before_its_first_line_leaves(app: App, cast: Cast, alice: Actor) -> None:
    suppressions.export_csv(app, cast.carol, cast.acme.id)
    assert audit.list_entries(app, alice, tenant_id=cast.acme.id)[0].action == "export suppressions"


def test_an_empty_export_comes_back_as_nothing(app: App, cast: Cast) -> None:
    text = export(app, cast.carol, cast.acme.id)
    assert text == "address,reason,source,note,created_at,created_by\r\n"
    assert suppressions.import_csv(app, cast.bob, cast.acme.id, text.encode(), "x") == Imported(0, 0, [])


def test_a_long_list_is_exported_whole_and_holds_one_tenant_only(app: App, cast: Cast) -> None:
    suppress(app, cast.acme.id, {f"p{number}@example.com": BOUNCE for number in range(11_000)})
    suppress(app, cast.globex.id, {"theirs@example.com": BOUNCE})
    rows = list(csv.DictReader(io.StringIO(export(app, cast.carol, cast.acme.id), newline="")))
    assert {row["address"] for row in rows} == {f"p{number}@example.com" for number in range(11_000)}
    assert len(rows) == 11_000


def test_an_unsubscribe_link_suppresses_its_own_reader_once(app: App, cast: Cast) -> None:
    message = sent_message(app, cast.acme.id)
    token = suppressions.unsubscribe_token(app.secret_key(), cast.acme.id, message.id)
    assert suppressions.address_of(app, token) == "Reader@example.com"
    assert suppressions.count(app, cast.carol, cast.acme.id) == 0
    suppressions.unsubscribe(app, token)
    suppressions.unsubscribe(app, token)
    [entry] = suppressions.list_suppressions(app, cast.carol, cast.acme.id)
    assert (entry.address, entry.reason, entry.source, entry.campaign_id) == (
        "reader@example.com", "UNSUBSCRIBE", "unsubscribe", message.campaign_id,
    )  # fmt: skip


def test_an_altered_unsubscribe_link_is_not_there_and_changes_nothing(app: App, cast: Cast) -> None:
    message = sent_message(app, cast.acme.id)
    key = app.secret_key()
    token = suppressions.unsubscribe_token(key, cast.acme.id, message.id)
    altered = [token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :] for at in range(len(token))]
    forged = [
        "", "x", "é", "\0", token + "=", token + "A", token[:-1], f"{token[:5]}!{token[5:]}", token.upper(),
        suppressions.unsubscribe_token(key, cast.globex.id, message.id),
        suppressions.unsubscribe_token(key, cast.acme.id, message.id + 1),
        suppressions.unsubscribe_token(b"another key" * 4, cast.acme.id, message.id),
    ]  # fmt: skip
    for bad in altered + forged:
        with pytest.raises(NotFound, match="not valid"):
            suppressions.unsubscribe(app, bad)
        with pytest.raises(NotFound):
            suppressions.address_of(app, bad)
    assert suppressions.count(app, cast.carol, cast.acme.id) == 0
