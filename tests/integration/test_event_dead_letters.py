"""Dead letters: looked at without losing one, replayed as an ingest, discarded with a reason."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select, text

from core import events
from core.access import Actor, Role
from core.app import App, build_app
from core.db.models import Account, AuditEntry, Message, Tenant
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from core.events import dead_letters
from core.settings import Settings
from tests.conftest import Cast
from tests.integration.test_event_queue import REFUSE_POISON, _body
from tests.ledger import Ledger, ledger_of, new_account, new_ledger
from tests.queues import MemoryQueue, with_queue

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DEAD = "q-dlq"
ANALYST = Actor("carol", Role.ANALYST)


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def ledger(settings: Settings, queue: MemoryQueue) -> Iterator[Ledger]:
    app = with_queue(build_app(settings), queue)
    yield new_ledger(app, new_account(app, queue_url="q", dead_letter_queue_url=DEAD), "acme")
    app.db.dispose()


def dead(ledger: Ledger, queue: MemoryQueue, *addresses: str, **delivery: str) -> list[Message]:
    """Deliveries that SQS gave up bringing."""
    messages = ledger.add_messages(list(addresses))
    for message in messages:
        queue.send_to(DEAD, _body(ledger, message, **delivery))
    return messages


def audited(ledger: Ledger) -> list[tuple[str, dict[str, object]]]:
    with ledger.app.db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(entry.action, entry.detail) for entry in entries]


def test_a_look_shows_some_and_leaves_all_where_they_are(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    dead(ledger, queue, *(f"p{n}@example.com" for n in range(75)))
    queue.send_to(DEAD, "<img src=x onerror=alert(1)>")
    seen = dead_letters.look(ledger.app, alice, ledger.account.id, limit=30)
    assert (len(seen.letters), seen.count) == (30, 76)
    assert queue.in_sight(DEAD) == 76
    everything = dead_letters.look(ledger.app, alice, ledger.account.id, limit=100).letters
    assert len({letter.id for letter in everything}) == 76
    [unreadable] = [letter for letter in everything if letter.fault]
    assert unreadable.says == unreadable.body == "<img src=x onerror=alert(1)>"
    assert {letter.says.partition(" ")[0] for letter in everything if not letter.fault} == {"DELIVERY"}


def test_a_letter_is_stored_and_only_then_deleted(ledger: Ledger, queue: MemoryQueue, alice: Actor) -> None:
    ann, bo = dead(ledger, queue, "ann@example.com", "bo@example.com")
    letters = dead_letters.look(ledger.app, alice, ledger.account.id).letters
    [wanted] = [letter.id for letter in letters if "ann@" in letter.says]
    done = dead_letters.replay(ledger.app, alice, ledger.account.id, [wanted])
    assert (done.replayed, done.kept, done.missing, done.ingested.stored) == (1, 0, 0, 1)
    assert (ledger.look(ann).status, ledger.look(bo).status) == ("delivered", "sending")
    assert (queue.depth(DEAD), queue.in_sight(DEAD)) == (1, 1)
    assert audited(ledger) == [("replay dead letters", {"replayed": 1, "kept": 0})]
    with pytest.raises(NotFound):
        dead_letters.replay(ledger.app, alice, ledger.account.id, [wanted])


def test_what_still_cannot_be_read_or_stored_stays_and_stops_nobody(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    with ledger.app.db.begin() as session:
        for statement in REFUSE_POISON[ledger.app.db.engine.dialect.name]:
            session.execute(text(statement))
    good = dead(ledger, queue, *(f"p{n}@example.com" for n in range(23)))
    [bad] = dead(ledger, queue, "bad@example.com", diagnostic="poison")
    queue.send_to(DEAD, "not json")
    done = dead_letters.replay(ledger.app, alice, ledger.account.id)
    assert (done.replayed, done.kept) == (23, 2)
    assert {ledger.look(message).status for message in good} == {"delivered"}
    assert ledger.look(bad).status == "sending"
    assert (queue.depth(DEAD), queue.in_sight(DEAD)) == (2, 2)


def test_replaying_what_is_known_already_changes_nothing(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    [ann] = dead(ledger, queue, "ann@example.com")
    for _ in range(2):
        queue.send_to(DEAD, _body(ledger, ann))
    done = dead_letters.replay(ledger.app, alice, ledger.account.id)
    assert (done.replayed, done.ingested.stored, queue.depth(DEAD)) == (3, 1, 0)
    assert ledger.total("delivered") == 1


def test_a_letter_through_another_tenants_topic_is_quarantined_as_ever(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    message = globex.add_message("ann@example.com")
    body = _body(globex, message).replace(str(globex.tenant.topic_arn), str(ledger.tenant.topic_arn))
    queue.send_to(DEAD, body)
    done = dead_letters.replay(ledger.app, alice, ledger.account.id)
    assert (done.ingested.wrong_tenant, globex.look(message).status) == (1, "sending")
    assert [(row.reason, row.tenant_id) for row in ledger.parked()] == [("wrong tenant", ledger.tenant.id)]


@pytest.mark.slow
@SQLITE
def test_ten_thousand_letters_are_replayed_by_one_call(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    dead(ledger, queue, *(f"p{n}@example.com" for n in range(10_000)))
    done = dead_letters.replay(ledger.app, alice, ledger.account.id)
    assert (done.replayed, done.kept, queue.depth(DEAD)) == (10_000, 0, 0)
    assert ledger.total("delivered") == 10_000


@SQLITE
def test_one_among_ten_thousand_is_found_and_the_others_are_given_back(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    for n in range(10_000):
        queue.send_to(DEAD, f"nonsense {n}")
    wanted = list(queue.bodies[DEAD])[7777]
    assert dead_letters.discard(ledger.app, alice, ledger.account.id, "nonsense", [wanted]) == 1
    assert wanted not in queue.bodies[DEAD]
    assert queue.in_sight(DEAD) == queue.depth(DEAD) == 9_999


def test_discarding_deletes_them_and_settles_what_is_parked_of_them(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    for body in ("not json", "nor this"):
        queue.send_to(DEAD, body)
        events.ingest(ledger.app, ledger.account, [], [body])
    with pytest.raises(InputError):
        dead_letters.discard(ledger.app, alice, ledger.account.id, " ")
    assert dead_letters.discard(ledger.app, alice, ledger.account.id, "noise") == 2
    assert queue.depth(DEAD) == 0
    assert {row.resolution for row in ledger.parked()} == {"discarded: noise"}
    assert audited(ledger) == [("discard dead letters", {"count": 2, "reason": "noise"})]
    assert dead_letters.discard(ledger.app, alice, ledger.account.id, "noise") == 0


@SQLITE
def test_while_sqs_is_silent_that_is_said_and_nothing_is_lost(
    ledger: Ledger, queue: MemoryQueue, alice: Actor
) -> None:
    [ann] = dead(ledger, queue, "ann@example.com")

    class Silent(MemoryQueue):
        def receive(self, *_: object, **__: object) -> list[object]:  # type: ignore[override]
            raise ProviderError("SQS does not answer.", permanent=False)

    silent = with_queue(ledger.app, Silent())
    for call in (
        lambda: dead_letters.look(silent, alice, ledger.account.id),
        lambda: dead_letters.replay(silent, alice, ledger.account.id),
        lambda: dead_letters.discard(silent, alice, ledger.account.id, "x"),
    ):
        with pytest.raises(ProviderError):
            call()
    assert ledger.look(ann).status == "sending"
    assert audited(ledger) == []


@SQLITE
def test_an_account_without_a_queue_says_so(ledger: Ledger, alice: Actor) -> None:
    bare = new_account(ledger.app, "bare")
    with pytest.raises(Conflict, match="no dead-letter queue yet"):
        dead_letters.look(ledger.app, alice, bare.id)
    with pytest.raises(NotFound):
        dead_letters.look(ledger.app, alice, 999)


@SQLITE
def test_who_may_not_see_the_installation_sees_and_does_nothing(ledger: Ledger) -> None:
    for call in (
        lambda: dead_letters.look(ledger.app, ANALYST, ledger.account.id),
        lambda: dead_letters.replay(ledger.app, ANALYST, ledger.account.id),
        lambda: dead_letters.discard(ledger.app, ANALYST, ledger.account.id, "x"),
    ):
        with pytest.raises(PermissionDenied):
            call()


@SQLITE
def test_sqs_itself_gives_them_and_takes_them_back(app: App, cast: Cast, alice: Actor) -> None:
    """boto3 and the simulator's SQS."""
    with app.db.read() as session:
        tenant = session.get_one(Tenant, cast.acme.id)
        account = session.get_one(Account, tenant.account_id)
    ledger = ledger_of(app, account, tenant)
    message = ledger.add_message("ann@example.com")
    sqs, url = app.providers.queue(account.region), str(account.dead_letter_queue_url)
    for body in ("not json", _body(ledger, message)):
        sqs.send_to(url, body)
    for _ in range(2):
        seen = dead_letters.look(app, alice, account.id)
        assert sorted(letter.fault for letter in seen.letters) == ["", "The body is no JSON."]
    assert all(letter.id and letter.sent_at for letter in seen.letters)
    done = dead_letters.replay(app, alice, account.id)
    assert (done.replayed, done.kept, ledger.look(message).status) == (1, 1, "delivered")
    assert (
        dead_letters.discard(app, alice, account.id, "noise", [seen.letters[0].id, seen.letters[1].id]) == 1
    )
    assert sqs.depth(url) == 0
