"""Idle: the sender ends by itself when nothing is left that can leave by itself."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from core import sending
from core.app import App
from core.db.models import Identity, Message, Sender
from core.db.states import FallbackPolicy
from tests.databases import ON_SQLITE
from tests.engine import campaign_of, fast_account, single
from tests.ledger import Ledger

LONGEST_SECONDS = 3.0


def ends_by_itself(app: App) -> bool:
    stop = threading.Event()
    worker = threading.Thread(target=sending.work, args=(app, stop, True))
    worker.start()
    worker.join(LONGEST_SECONDS)
    is_over = not worker.is_alive()
    stop.set()
    worker.join()
    return is_over


def without_a_way(app: App, **tenant_values: str) -> Ledger:
    """One single message waits, of a sender whose domain was lost."""
    ledger = campaign_of(app, fast_account(app), "acme", 0, **tenant_values)
    single(ledger)
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=False))
    return ledger


def statuses(app: App) -> list[str]:
    with app.db.read() as session:
        return list(session.scalars(select(Message.status)))


def test_it_ends_while_a_single_message_waits_that_can_go_no_way(app: App) -> None:
    without_a_way(app)
    assert ends_by_itself(app)
    assert statuses(app) == ["pending"]


@ON_SQLITE
def test_nor_does_one_from_a_sender_that_was_removed_keep_it(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 0)
    single(ledger)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now()))
    assert ends_by_itself(app)


@pytest.mark.parametrize("policy", [FallbackPolicy.NONE, FallbackPolicy.NO_VERIFIED_DOMAIN])
@ON_SQLITE
def test_nor_where_there_is_a_second_provider_that_may_not_carry_it(app: App, policy: FallbackPolicy) -> None:
    second = {"resend_api_key": SecretStr("re_test"), "resend_from": "post@postyard-mail.io"}
    with_resend = replace(app, settings=app.settings.model_copy(update=second))
    ledger = without_a_way(app, fallback_policy=policy)
    with app.db.begin() as session:
        session.add(
            Identity(
                tenant_id=ledger.tenant.id, name="acme-shop.net", created_at=app.now(),
                verified_for_sending=True, dkim_status="SUCCESS",
            )
        )  # fmt: skip
    assert ends_by_itself(with_resend)
