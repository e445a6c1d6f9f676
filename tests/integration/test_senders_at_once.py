"""Two people who press at the same moment: one wins, the other is told, nothing is half done."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from core import identities, senders
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Identity, Sender
from core.errors import Conflict, InputError, NotFound, ProviderError
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import cool_down
from tests.simulators import Simulator

PEOPLE = 6
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def outcomes(*presses: Callable[[], object]) -> Counter[str]:
    """All pressed at once: "won", or what each was told."""
    told: list[str] = []
    ready = threading.Barrier(len(presses))

    def press(act: Callable[[], object]) -> None:
        ready.wait()
        try:
            act()
        except (Conflict, InputError, NotFound) as e:
            told.append(type(e).__name__)
        else:
            told.append("won")

    threads = [threading.Thread(target=press, args=(act,)) for act in presses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(told)


def audited(app: App, action: str) -> int:
    with app.db.read() as session:
        query = select(func.count()).select_from(AuditEntry).where(AuditEntry.action == action)
        return session.scalar(query) or 0


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def seen(app: App, cast: Cast, sender: Sender) -> int:
    return next(
        view.sender.version
        for view in senders.list_senders(app, cast.bob, cast.acme.id)
        if view.sender.id == sender.id
    )


def test_of_two_who_verify_one_asks_ses(app: App, simulator: Simulator, cast: Cast, sender: Sender) -> None:
    with app.db.read() as session:
        cool_down(app, session.get_one(Identity, sender.identity_id))
    before = audited(app, "verify identity")
    asked = len(simulator.calls())
    pressed = outcomes(
        *[lambda: senders.verify_now(app, cast.bob, cast.acme.id, sender.id)] * PEOPLE,
    )
    assert pressed == {"won": 1, "TooSoon": PEOPLE - 1}
    assert audited(app, "verify identity") == before + 1
    assert len(simulator.calls()) == asked + 1


@pytest.mark.parametrize("at_once", [False, True])
def test_of_two_who_delete_one_does(
    app: App, cast: Cast, alice: Actor, sender: Sender, at_once: bool
) -> None:
    version = seen(app, cast, sender)
    pressed = outcomes(
        *[lambda: senders.remove(app, alice, cast.acme.id, sender.id, at_once=at_once, version=version)]
        * PEOPLE
    )
    assert pressed == {"won": 1, "Conflict": PEOPLE - 1}
    assert audited(app, "remove sender") == 1
    assert (app.providers.email(app.settings.region).find_identity("acme-mail.io") is None) is at_once


def test_of_two_who_set_the_default_one_does(app: App, cast: Cast, sender: Sender) -> None:
    version = seen(app, cast, sender)
    pressed = outcomes(
        *[lambda: senders.set_default(app, cast.bob, cast.acme.id, sender.id, version=version)] * PEOPLE
    )
    assert pressed == {"won": 1, "Conflict": PEOPLE - 1}
    assert audited(app, "set default sender") == 1


def test_of_two_defaults_at_once_one_stands(app: App, cast: Cast, sender: Sender) -> None:
    others = [
        senders.add(app, cast.bob, cast.acme.id, f"{name}@acme-mail.io") for name in ("help", "shop", "team")
    ]
    pressed = outcomes(
        *[
            lambda chosen=one: senders.set_default(app, cast.bob, cast.acme.id, chosen.id)
            for one in (sender, *others)
        ]
    )
    assert pressed["won"] >= 1
    assert set(pressed) <= {"won", "Conflict"}
    assert audited(app, "set default sender") == pressed["won"]
    views = senders.list_senders(app, cast.bob, cast.acme.id)
    assert sum(view.sender.is_default for view in views) == 1


def test_one_deletes_while_another_makes_it_the_default(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    version = seen(app, cast, sender)
    pressed = outcomes(
        lambda: senders.remove(app, alice, cast.acme.id, sender.id, version=version),
        lambda: senders.set_default(app, cast.bob, cast.acme.id, sender.id, version=version),
    )
    assert pressed == {"won": 1, "Conflict": 1}
    with app.db.read() as session:
        left = session.get_one(Sender, sender.id)
    assert left.is_default is (left.deleted_at is None)


@SQLITE
def test_who_looked_before_somebody_else_changed_it_is_told(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    version = seen(app, cast, sender)
    senders.set_default(app, cast.bob, cast.acme.id, sender.id)
    with pytest.raises(
        Conflict, match=r"news@acme-mail\.io was changed by somebody else meanwhile. Look again"
    ):
        senders.remove(app, alice, cast.acme.id, sender.id, version=version)
    senders.remove(app, alice, cast.acme.id, sender.id, version=seen(app, cast, sender))


def test_of_two_who_restore_one_does(app: App, cast: Cast, alice: Actor, sender: Sender) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    pressed = outcomes(*[lambda: senders.restore(app, alice, cast.acme.id, sender.id)] * PEOPLE)
    assert pressed == {"won": 1, "Conflict": PEOPLE - 1}
    assert audited(app, "restore sender") == 1


def test_of_two_who_add_an_address_one_does(app: App, cast: Cast, sender: Sender) -> None:
    pressed = outcomes(
        *[lambda: senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")] * PEOPLE,
    )
    assert pressed["won"] == 1
    assert audited(app, "add sender") == 2
    assert len(senders.list_senders(app, cast.bob, cast.acme.id)) == 2


def test_five_may_wait_to_be_verified_however_many_are_added_at_once(app: App, cast: Cast) -> None:
    pressed = outcomes(
        *[
            lambda name=name: senders.add(app, cast.bob, cast.acme.id, f"news@{name}-mail.io")
            for name in ("one", "two", "three", "four", "five", "six", "seven", "eight")
        ]
    )
    assert pressed == {"won": senders.MAX_PENDING, "InputError": 3}
    assert len(senders.list_senders(app, cast.bob, cast.acme.id)) == senders.MAX_PENDING


@SQLITE
def test_a_sixth_that_waits_is_refused_and_nothing_is_made(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    pending = [senders.add(app, cast.bob, cast.acme.id, f"a@shop{n}-post.io") for n in range(5)]
    asked = len(simulator.calls())
    with pytest.raises(InputError, match="5 senders wait to be verified already") as told:
        senders.add(app, cast.bob, cast.acme.id, "b@acme-news.io")
    assert told.value.field == "address"
    assert len(simulator.calls()) == asked
    senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")  # its domain is verified
    senders.add(app, cast.charlie, cast.globex.id, "news@globex-post.net")  # each tenant has its own five
    senders.remove(app, alice, cast.acme.id, pending[0].id)
    senders.add(app, cast.bob, cast.acme.id, "b@acme-news.io")
    with pytest.raises(InputError, match="5 senders wait"):
        senders.restore(app, alice, cast.acme.id, pending[0].id)
    second = senders.add(app, cast.bob, cast.acme.id, "c@shop1-post.io")
    assert second.identity_id == pending[1].identity_id, "its domain is among the five"


def test_no_sender_is_left_on_a_domain_that_is_removed_in_the_same_moment(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    def remove() -> None:
        try:
            senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
        except ProviderError as e:  # the other has associated the domain again, between two calls of ours
            if "it is tried again within the hour" not in str(e):
                raise

    outcomes(remove, lambda: senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io"))
    for view in senders.list_senders(app, cast.bob, cast.acme.id):
        assert view.identity.removed_at is None
        cool_down(app, view.identity)
        healed = identities.verify_now(app, cast.bob, cast.acme.id, view.identity.id)
        assert healed.dkim_tokens
