"""SES: what it accepts, answers and reports; answers get lost, and reports come as they please."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from core.db.states import BounceType, EventType
from core.errors import ProviderError
from core.providers.base import AccountState, BulkEntry, BulkMail, EntryResult, Outcome, ProviderEvent
from tests.faults.simulation.watching import Watch
from tests.faults.simulation.world import BEGINNING, PowerCut, World

TIME_OUT_SECONDS = 15.0
LOST = EntryResult(Outcome.UNKNOWN, code="ReadTimeoutError", reason="SES did not answer in time")
FAILED = EntryResult(Outcome.UNKNOWN, code="InternalFailure", reason="SES had a fault of its own")
REFUSALS = (
    EntryResult(Outcome.NOT_SENT, code="EndpointConnectionError", reason="no connection"),
    EntryResult(Outcome.CREDENTIALS, code="ExpiredToken", reason="the key is not valid"),
    EntryResult(Outcome.QUOTA, code="Throttling", reason="Daily message quota exceeded"),
)
THROTTLED = EntryResult(Outcome.THROTTLED, code="ACCOUNT_THROTTLED", reason="Maximum sending rate exceeded")
REFUSED = EntryResult(Outcome.REFUSED, code="MESSAGE_REJECTED", reason="Illegal address")
TRANSIENT = EntryResult(Outcome.UNKNOWN, code="TRANSIENT_FAILURE", reason="TRANSIENT_FAILURE")
PAUSED = EntryResult(Outcome.PAUSED, code="ACCOUNT_SENDING_PAUSED", reason="The tenant is paused")


@dataclass(frozen=True)
class Told:
    """An event, when it comes out of the queue; a lost one never does."""

    due: float
    event: ProviderEvent
    is_lost: bool = False


class SimulatedSes:
    """All that the product asks of its providers here."""

    name = "ses"
    largest_call = 50

    def __init__(self, world: World, watch: Watch, topics: dict[str, str]) -> None:
        self._world, self._watch, self._topics = world, watch, topics
        self._disabled: dict[str, tuple[float, bool]] = {}  # by ARN: from when, and whether
        self.accepted = 0
        self.queued: list[Told] = []  # what the ingest has not read yet
        self.told: list[Told] = []  # all that was ever published

    def email(self, region: str) -> SimulatedSes:
        return self

    def queue(self, region: str) -> SimulatedSes:
        return self

    def resend(self) -> None:
        return None

    def get_account(self) -> AccountState:
        self._world.breathe()
        return AccountState(self._world.plan.rate, 50_000, self.accepted, True, True, "HEALTHY")

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None:
        world = self._world
        world.breathe()
        if world.is_turbulent and world.random.random() >= world.plan.pauses_heard:
            raise ProviderError("SES does not answer", permanent=False)
        delay = world.random.uniform(0, 30) if world.is_turbulent else 0.0
        world.note(f"SES: hears that {arn.rpartition('/')[2]} is {'enabled' if enabled else 'disabled'}")
        self._disabled[arn.rpartition("/")[2]] = (world.seconds + delay, not enabled)

    def send_one(self, mail: BulkMail) -> EntryResult:
        return self.send_bulk(mail)[0]

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        world = self._world
        ends_at = world.seconds + TIME_OUT_SECONDS
        try:
            world.sleep(min(14.0, world.random.expovariate(1 / world.plan.latency)))
        except PowerCut:
            if not world.is_over and world.random.random() < 0.5:  # the request was out already
                self._answers(mail)
            raise
        results = self._refusal(mail) or self._failure(mail) or self._answers(mail)
        if world.happens(world.plan.cuts * 3):
            world.note("power cut between SES's yes and its answer")
            raise world.cut()
        if world.happens(world.plan.calls_lost):
            world.note("SES: the answer is lost")
            world.sleep(ends_at - world.seconds)
            return [LOST] * len(mail.entries)
        world.breathe(longest_stall=5.0)
        return results

    def _refusal(self, mail: BulkMail) -> list[EntryResult]:
        world = self._world
        since, is_disabled = self._disabled.get(mail.tenant_name, (0.0, False))
        if is_disabled and world.seconds >= since:
            world.note(f"SES: {mail.tenant_name} is paused")
            return [PAUSED] * len(mail.entries)
        if not world.happens(world.plan.calls_refused):
            return []
        refusal = world.random.choice(REFUSALS)
        world.note(f"SES: {refusal.outcome}")
        return [refusal] * len(mail.entries)

    def _failure(self, mail: BulkMail) -> list[EntryResult]:
        world = self._world
        if not world.happens(world.plan.calls_failed):
            return []
        took_it = world.random.random() < 0.5
        world.note(f"SES: fails, and {'took it' if took_it else 'took nothing'}")
        if took_it:
            self._answers(mail)
        return [FAILED] * len(mail.entries)

    def _answers(self, mail: BulkMail) -> list[EntryResult]:
        return [self._answer(mail, entry) for entry in mail.entries]

    def _answer(self, mail: BulkMail, entry: BulkEntry) -> EntryResult:
        world, plan = self._world, self._world.plan
        if world.happens(plan.entries_throttled):
            world.note(f"SES: throttles {entry.msg_uid}")
            return THROTTLED
        if world.happens(plan.entries_refused):
            world.note(f"SES: refuses {entry.msg_uid}")
            return REFUSED
        fails = world.happens(plan.entries_failed)
        if fails and world.random.random() < 0.5:
            world.note(f"SES: fails for {entry.msg_uid}, which it did not take")
            return TRANSIENT
        self.accepted += 1
        provider_id = f"ses-{self.accepted}"
        world.note(f"SES: accepts {entry.msg_uid} for {entry.address} as {provider_id}")
        self._report(mail, entry, provider_id)
        self._watch.accepted(mail, entry)
        return TRANSIENT if fails else EntryResult(Outcome.ACCEPTED, provider_id)

    def _report(self, mail: BulkMail, entry: BulkEntry, provider_id: str) -> None:
        """SES tells its queue; true times, whatever our clocks say."""
        world = self._world
        at = world.seconds
        for number, kind in enumerate(self._fate()):
            if kind["type"] is EventType.REJECT:
                self._watch.rejects_later(entry)
            event = ProviderEvent(
                uid=f"{provider_id}-{number}",
                recipient=entry.address.lower(),
                provider_message_id=provider_id,
                msg_uid=entry.msg_uid,
                occurred_at=BEGINNING + timedelta(seconds=at),
                topic_arn=self._topics[mail.tenant_name],
                tenant_tag=mail.tenant_name,
                raw="{}",
                **kind,
            )
            self._publish(event, at)
            at += world.random.expovariate(1.0)

    def _publish(self, event: ProviderEvent, at: float) -> None:
        world, plan = self._world, self._world.plan
        hurried = world.happens(plan.events_hurried)
        told = Told(at if hurried else at + plan.events_late + world.random.uniform(0.5, 8.0), event)
        if world.happens(plan.events_lost):
            told = replace(told, is_lost=True)
        self.told.append(told)
        if told.is_lost:
            return
        self.queued.append(told)
        if world.happens(plan.events_doubled):
            self.queued.append(replace(told, due=told.due + world.random.uniform(0, 60)))

    def _fate(self) -> list[dict[str, object]]:
        """What becomes of an accepted mail, in the order in which it happens."""
        send, delivery = {"type": EventType.SEND}, {"type": EventType.DELIVERY}
        permanent = _bounce(BounceType.PERMANENT, "NoEmail")
        transient = _bounce(BounceType.TRANSIENT, "MailboxFull")
        complaint = {"type": EventType.COMPLAINT, "feedback_type": "abuse"}
        fates = (
            (70, [send, delivery]),
            (6, [send, {"type": EventType.DELIVERY_DELAY}, delivery]),
            (6, [send, delivery, {"type": EventType.OPEN}, {"type": EventType.CLICK}]),
            (6, [send, permanent]),
            (3, [send, transient]),
            (3, [send, delivery, transient]),
            (2, [send, delivery, complaint]),
            (2, [send, {"type": EventType.REJECT}]),
            (2, [send]),
        )
        weights = [weight for weight, _ in fates]
        return self._world.random.choices([events for _, events in fates], weights)[0]


def _bounce(kind: BounceType, subtype: str) -> dict[str, object]:
    return {"type": EventType.BOUNCE, "bounce_type": kind, "bounce_subtype": subtype}
