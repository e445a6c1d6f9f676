"""Mutants: the product with one bug planted in it, each of which lost or doubled somebody's mail somewhere.

Here, and nowhere else in the tests, functions of the product are replaced: the question is what the schedules
are worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import bindparam, select, true, update
from sqlalchemy.orm import Session

from core import campaigns
from core.app import App
from core.db.models import Account, Campaign, Message, Tenant, Worker
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.events.matching import match
from core.providers.base import EntryResult, Outcome, ProviderEvent
from core.sending import answers, arming, claim, record, turns, worker

Plant = Callable[[pytest.MonkeyPatch], None]
PENDING, SENDING = MessageStatus.PENDING, MessageStatus.SENDING


@dataclass(frozen=True)
class Mutant:
    """`breaks`: the invariants that may tell; `ambush`: only its targeted fault shows it."""

    plant: Plant
    breaks: frozenset[str]
    ambush: bool = False


MUTANTS: dict[str, Mutant] = {}


def mutant(*breaks: str, ambush: bool = False) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        MUTANTS[plant.__name__] = Mutant(plant, frozenset(breaks), ambush)
        return plant

    return add


@mutant("I1", "I3")
def send_then_mark(patch: pytest.MonkeyPatch) -> None:
    """Nothing says that a mail is on its way: its row waits until the answer is written."""
    for name in ("_ON_SQLITE", "_IDS"):
        patch.setattr(arming, name, getattr(arming, name).values(status=PENDING.value))
    patch.setattr(answers, "_STILL_OURS", true())
    patch.setattr(answers, "_SENDING", true())
    _write_answers_anew(patch)


@mutant("I1", "I3")
def claim_without_comparing(patch: pytest.MonkeyPatch) -> None:
    """Whom to write to is read first; the rows are taken then, whoever has taken them meanwhile."""
    claiming, taking = worker.claim, arming.Arms.campaign
    read: dict[str, list[int]] = {}

    def claim_what_was_read(app: App, turn: claim.Turn, *args: Any) -> Any:
        with app.db.read() as session:
            read[turn.worker] = list(session.scalars(select(Message.id).where(Message.status == PENDING)))
        app.clock.sleep(0.02)
        return claiming(app, turn, *args)

    def take(self: arming.Arms, *args: Any) -> Any:
        ids = read[self._values["to_worker"]]
        chosen = (
            select(Message.id)
            .where(Message.campaign_id == bindparam("of_campaign"), Message.id > bindparam("after"))
            .where(Message.id.in_(ids), arming._BY_THIS_WAY)
            .limit(bindparam("most"))
        )
        with pytest.MonkeyPatch.context() as within:
            within.setattr(arming, "_ON_SQLITE", arming._arming(Message.id.in_(chosen)))
            return taking(self, *args)

    patch.setattr(worker, "claim", claim_what_was_read)
    patch.setattr(arming.Arms, "campaign", take)


@mutant("I1", "I3")
def the_sdk_tries_twice(patch: pytest.MonkeyPatch) -> None:
    """As boto3 does by itself unless it is told not to."""
    real = worker._answers

    def twice(app: App, call: claim.Call) -> list[EntryResult]:
        results = real(app, call)
        return real(app, call) if all(r.outcome is Outcome.UNKNOWN for r in results) else results

    patch.setattr(worker, "_answers", twice)


@mutant("I1", "I3")
def a_time_out_means_not_sent(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(record, "NOT_ACCEPTED", (*record.NOT_ACCEPTED, Outcome.UNKNOWN))


@mutant("I1", "I3")
def an_ended_lease_means_not_sent(patch: pytest.MonkeyPatch) -> None:
    def reap(app: App) -> str:
        with app.db.begin() as session:
            late = select(Worker.name).where(Worker.beat_at < app.now() - worker.LEASE)
            session.execute(
                update(Message)
                .where(Message.status == SENDING, Message.worker.in_(late))
                .values(status=PENDING, attempt=None, worker=None)
            )
        return ""

    patch.setattr(worker, "reap_dead", reap)


@mutant("I2")
def the_checkpoint_moves_when_rows_are_fetched(patch: pytest.MonkeyPatch) -> None:
    """Beyond the last row that was taken the campaign is over, whoever has come back to wait before it."""
    real = arming.Arms.campaign
    reached: dict[int, int] = {}

    def onwards(self: arming.Arms, candidate: turns.Candidate, most: int, after: int) -> Any:
        campaign_id = candidate.campaign.campaign_id  # type: ignore[union-attr]
        armed, last = real(self, candidate, most, max(after, reached.get(campaign_id, 0)))
        reached[campaign_id] = max(last, reached.get(campaign_id, 0))
        return armed, last

    def end(session: Session, campaign_id: int, now: Any) -> None:
        session.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENDING)
            .values(status=CampaignStatus.SENT, finished_at=now, version=Campaign.version + 1)
        )

    patch.setattr(arming.Arms, "campaign", onwards)
    patch.setattr(claim, "_finish_if_done", end)


@mutant("I4")
def suppressions_are_not_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    blind = SimpleNamespace(
        suppressed_among=lambda *_: {}, unsubscribe_token=arming.suppressions.unsubscribe_token
    )
    patch.setattr(arming, "suppressions", blind)


@mutant("I5")
def a_pause_is_read_once(patch: pytest.MonkeyPatch) -> None:
    """A tenant's status is asked for when its mail is first met."""
    real = turns.candidates
    known: set[int] = set()

    def remembered(session: Session, *args: Any, **kwargs: Any) -> Any:
        found, stuck = real(session, *args, **kwargs)
        return [candidate for candidate in found if may_send(session, candidate.tenant_id)], stuck

    def may_send(session: Session, tenant_id: int) -> bool:
        status = select(Tenant.sending_status).where(Tenant.id == tenant_id)
        if tenant_id not in known and session.scalar(status) != SendingStatus.DISABLED:
            known.add(tenant_id)
        return tenant_id in known

    patch.setattr(turns, "candidates", remembered)
    patch.setattr(turns, "MAY_SEND", tuple(SendingStatus))
    of_lane = turns._due_campaigns().where(Tenant.account_id == bindparam("account_id"))
    patch.setattr(turns, "_OF_LANE", of_lane)


@mutant("I6")
def events_are_found_by_ses_own_id(patch: pytest.MonkeyPatch) -> None:
    def by_their_id(session: Session, account: Account, events: list[ProviderEvent]) -> Any:
        return match(session, account, [_untagged(session, event) for event in events])

    def _untagged(session: Session, event: ProviderEvent) -> ProviderEvent:
        known = Message.provider_message_id == event.provider_message_id
        row = session.execute(select(Message.id, Message.attempt).where(known)).first()
        return replace(event, msg_uid=f"{row.id}-{row.attempt}" if row else None)

    patch.setattr(import_module("core.events.ingest"), "match", by_their_id)


@mutant("I4", "I5", ambush=True)
def the_deadline_is_on_the_wall(patch: pytest.MonkeyPatch) -> None:
    """Whoever sets the clock back between arming and the call gives it an hour more."""
    real = worker.call

    def by_the_wall(app: App, call: claim.Call) -> worker.Finished:
        passed = (app.now() - call.granted_at).total_seconds()
        return real(app, replace(call, armed_at=app.clock.monotonic() - passed))

    patch.setattr(worker, "call", by_the_wall)


@mutant("limits")
def nothing_is_given_back(patch: pytest.MonkeyPatch) -> None:
    """What SES throttled counts as sent: the rate and the tenant's limits shrink with every such answer."""
    patch.setattr(record, "_give_back", lambda *_: None)


@mutant("I1", "I3", "I6")
def a_late_answer_is_written_over_another_attempt(patch: pytest.MonkeyPatch) -> None:
    """`not accepted`, written once more, sends a message back that another attempt has sent meanwhile."""
    real = answers._moved

    def whatever_it_is_now(ours: Any, kind: answers.Kind, told: Any) -> Any:
        return real(update(Message).where(ours._where_criteria[0]), kind, told)

    patch.setattr(answers, "_moved", whatever_it_is_now)
    patch.setattr(answers, "_STILL_OURS", true())
    _write_answers_anew(patch)


@mutant("I3")
def answers_are_read_in_another_order(patch: pytest.MonkeyPatch) -> None:
    real = worker._answers
    patch.setattr(worker, "_answers", lambda app, call: real(app, call)[::-1])


@mutant("I2")
def who_comes_back_to_an_ended_campaign_waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    """Neither whoever puts them back nor the job that looks for them ends their waiting."""
    patch.setattr(record, "_follow_the_end", lambda *_: None)
    patch.setattr(campaigns, "finish_cancelled_due", lambda app: "")


@mutant("I1", "I3")
def what_is_in_flight_is_taken_for_lost(patch: pytest.MonkeyPatch) -> None:
    """A beat that does not know of its own calls sends their messages back to wait."""

    def beat(app: App, turn: claim.Turn, in_flight: Any) -> None:
        with app.db.begin() as session:
            session.execute(update(Worker).where(Worker.name == turn.worker).values(beat_at=app.now()))
            session.execute(
                update(Message)
                .where(Message.status == SENDING, Message.worker == turn.worker)
                .values(status=PENDING, attempt=None, worker=None)
            )

    patch.setattr(worker, "beat", beat)


def _write_answers_anew(patch: pytest.MonkeyPatch) -> None:
    """With what is patched in their module by now."""
    patch.setattr(answers, "_STATEMENTS", {pair: answers._statement(*pair) for pair in answers._STATEMENTS})
