"""What becomes of accepted mail: its entry in the log, its outcome, and the events that tell of it."""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from simulator import records, scenario
from simulator.content import Content, rendered
from simulator.faults import DROP_EVENTS, DUPLICATE_EVENTS, REORDER_EVENTS
from simulator.outbox import EVENT_BUS
from simulator.records import BounceKind, Letter
from simulator.scenario import MAILBOX_SIMULATOR, Fate
from simulator.state import ConfigurationSet, Suppressed, Tenant
from simulator.store import MessageRow

if TYPE_CHECKING:
    from simulator.world import Call, World

# Seconds after acceptance. An event is never published before the moment it tells of.
DELIVERED_AFTER = 0.05
COMPLAINED_AFTER = 0.15
OPENED_AFTER = 0.20
CLICKED_AFTER = 0.25
REORDERED_WITHIN = 1.0
_LINK = re.compile(r"""href\s*=\s*["'](https?://[^"']+)["']""", re.IGNORECASE)

EventRow = tuple[float, str, str, str]


@dataclass(frozen=True, slots=True)
class Submission:
    """What all messages of one call have in common, gates passed."""

    call: Call
    sender: str
    identity_arn: str
    from_domain: str
    tenant: Tenant | None
    configuration_set: ConfigurationSet | None
    tags: dict[str, list[str]]  # SES's own
    targets: dict[str, list[str]]  # event type: where it is published
    suppression_list: str
    suppression_reasons: list[str]
    reply_to: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message: recipients (To, Cc, Bcc in one list), content and what fills it."""

    to: list[str]
    recipients: list[str]
    content: Content
    fields: dict[str, Any]
    tags: dict[str, str]
    headers: list[tuple[str, str]]
    template_name: str = ""


@dataclass(slots=True)
class Block:
    """Messages accepted in one call, written together."""

    world: World
    messages: list[MessageRow] = field(default_factory=list)
    contents: dict[str, tuple[str, str, str, str, bool]] = field(default_factory=dict)
    events: list[EventRow] = field(default_factory=list)

    def log(self, content: Content, row: MessageRow) -> None:
        self.contents[content.id] = (
            content.id,
            content.subject,
            content.html,
            content.text,
            content.template,
        )
        self.messages.append(row)

    def write(self) -> None:
        store = self.world.store
        store.insert("contents", list(self.contents.values()))
        store.insert("messages", self.messages)
        if self.events:
            self.world.outbox.add(self.events)


def targets(world: World, row: ConfigurationSet | None, region: str) -> dict[str, list[str]]:
    """Where each type of event goes: topics, or the region's default event bus."""
    found: dict[str, list[str]] = {}
    for destination in row.destinations if row else ():
        if not destination["Enabled"]:
            continue
        if "SnsDestination" in destination:
            target = destination["SnsDestination"]["TopicArn"]
        elif "EventBridgeDestination" in destination:
            target = EVENT_BUS + region
        else:
            continue
        for kind, matching in records.MATCHING.items():
            if matching in destination["MatchingEventTypes"]:
                found.setdefault(kind, []).append(target)
    return found


def accept(world: World, block: Block, submission: Submission, mail: Mail, now: float) -> str:
    """Take one message: log it, decide what becomes of it, plan its events. Returns SES's message id."""
    letter = Letter(
        message_id=records.message_id(now),
        at=now,
        sender=submission.sender,
        identity_arn=submission.identity_arn,
        to=mail.to,
        destination=mail.recipients,
        subject=mail.content.subject_for(mail.fields),
        headers=mail.headers,
        tags={**submission.tags, **{name: [value] for name, value in mail.tags.items()}},
        tenant=submission.tenant.name if submission.tenant else "",
    )
    _log(world, block, submission, mail, letter, Journey(world, block, submission, mail, letter).begin())
    return letter.message_id


def _log(
    world: World, block: Block, submission: Submission, mail: Mail, letter: Letter, outcome: str
) -> None:
    world.last_message += 1
    row = MessageRow(
        id=world.last_message,
        message_id=letter.message_id,
        at=letter.at,
        sender=submission.sender,
        recipient=", ".join(mail.recipients),
        recipient_key=mail.recipients[0].lower(),
        counted=counted(mail.recipients),
        tenant=letter.tenant,
        configuration_set=submission.configuration_set.name if submission.configuration_set else "",
        content_id=mail.content.id,
        fields=orjson.dumps(mail.fields).decode(),
        tags=orjson.dumps(mail.tags).decode(),
        headers=orjson.dumps(dict(mail.headers)).decode(),
        outcome=outcome,
        reply_to=submission.reply_to,
    )
    block.log(mail.content, row)


def counted(recipients: list[str]) -> int:
    """Recipients that count in the daily quota: the mailbox simulator's do not."""
    return sum(1 for address in recipients if not address.lower().endswith("@" + MAILBOX_SIMULATOR))


@dataclass(frozen=True, slots=True)
class Journey:
    """One message from acceptance to its last event."""

    world: World
    block: Block
    submission: Submission
    mail: Mail
    letter: Letter

    def begin(self) -> str:
        """Plans every event; returns the outcome (of the first recipient, when there are several)."""
        missing = self.mail.content.missing(self.mail.fields)
        if missing is not None:
            text = records.rendering_failed(self.letter, missing, self.mail.template_name)
            self._publish(records.RENDERING_FAILURE, self._moment(0.0), text)
            return scenario.RENDERING_FAILURE
        if records.SEND in self.submission.targets:
            self._publish(records.SEND, self._moment(0.0), records.sent(self.letter))
        outcomes = [self._carry(address) for address in self.mail.recipients]
        return outcomes[0]

    def _carry(self, address: str) -> str:
        submission = self.submission
        entry = self.world.suppressed.find(
            submission.suppression_list, address, submission.suppression_reasons
        )
        if entry:
            self._bounce(address, records.TENANT_LIST if entry.tenant else records.ACCOUNT_LIST)
            return scenario.SUPPRESSED
        fate = self.world.scenario.fate_of(address)
        if fate.outcome == scenario.BOUNCE:
            self._bounce(address, records.HARD)
            self._suppress(address, "BOUNCE", "General " + address)
        elif fate.outcome == scenario.GLOBALLY_SUPPRESSED:
            self._bounce(address, records.GLOBAL_LIST)
        elif fate.outcome == scenario.TRANSIENT:
            self._bounce(address, records.MAILBOX_FULL)
        elif fate.outcome == scenario.REJECT:
            self._publish(records.REJECT, self._moment(DELIVERED_AFTER), records.rejected(self.letter))
        else:
            self._deliver(address, fate)
        return fate.outcome

    def _deliver(self, address: str, fate: Fate) -> None:
        if fate.delayed:
            at = self._moment(DELIVERED_AFTER / 2)
            self._publish(records.DELIVERY_DELAY, at, records.delayed(self.letter, address, at))
        at = self._moment(DELIVERED_AFTER)
        if records.DELIVERY in self.submission.targets:
            self._publish(records.DELIVERY, at, records.delivered(self.letter, address, at))
        if fate.outcome == scenario.OUT_OF_OFFICE:
            self._bounce(address, records.OUT_OF_OFFICE, after=COMPLAINED_AFTER)
        if fate.outcome == scenario.COMPLAINT:
            self._complain(address)
        if fate.opened:
            at = self._moment(OPENED_AFTER)
            self._publish(records.OPEN, at, records.opened(self.letter, at, bot=fate.bot))
        if fate.clicked and (link := self._link()):
            at = self._moment(CLICKED_AFTER)
            self._publish(records.CLICK, at, records.clicked(self.letter, at, link, bot=fate.bot))

    def _complain(self, address: str) -> None:
        at = self._moment(COMPLAINED_AFTER)
        simulated = address.lower().endswith("@" + MAILBOX_SIMULATOR)
        agent = "Amazon SES Mailbox Simulator" if simulated else "ReturnPathFBL/2.0"
        self._publish(records.COMPLAINT, at, records.complained(self.letter, address, at, agent))
        self._suppress(address, "COMPLAINT", "complaint " + address)

    def _bounce(self, address: str, kind: BounceKind, after: float = DELIVERED_AFTER) -> None:
        at = self._moment(after)
        self._publish(records.BOUNCE, at, records.bounced(self.letter, address, at, kind))

    def _suppress(self, address: str, reason: str, feedback: str) -> None:
        """Onto the list that applies, at once; the mailbox simulator's addresses are never added."""
        submission = self.submission
        if reason not in submission.suppression_reasons or address.lower().endswith("@" + MAILBOX_SIMULATOR):
            return
        self.world.suppressed.put(
            Suppressed(
                tenant=submission.suppression_list,
                address=address,
                reason=reason,
                updated_at=self.letter.at,
                message_id=self.letter.message_id,
                feedback_id=records.feedback_id(self.letter, feedback),
            )
        )

    def _link(self) -> str | None:
        """The first link of the HTML part, as the recipient has it."""
        content = self.mail.content
        shown = rendered("", content.html, "", self.mail.fields)[1] if content.template else content.html
        found = _LINK.search(shown)
        return html.unescape(found.group(1)) if found else None

    def _moment(self, after: float) -> float:
        """When something happens to this message: a little different for each, never for the same one."""
        spread = hashlib.blake2b(self.letter.message_id.encode(), digest_size=1).digest()[0] / 256
        return self.letter.at + self.world.scenario.event_delay_seconds + after * (0.8 + 0.4 * spread)

    def _publish(self, kind: str, at: float, text: str) -> None:
        faults = self.world.faults
        if faults.any and faults.strike((DROP_EVENTS,), kind):
            return
        times = 2 if faults.any and faults.strike((DUPLICATE_EVENTS,), kind) else 1
        if faults.any and (fault := faults.strike((REORDER_EVENTS,), kind)):
            at += faults.chance() * (REORDERED_WITHIN if fault.seconds is None else fault.seconds)
        for target in self.submission.targets.get(kind, ()):
            self.block.events.extend([self._row(kind, at, target, text)] * times)

    def _row(self, kind: str, at: float, target: str, text: str) -> EventRow:
        if not target.startswith(EVENT_BUS):
            return (at, target, kind, text)
        row = self.submission.configuration_set
        resource = self.submission.call.arn(f"configuration-set/{row.name if row else ''}")
        body = orjson.dumps({"resources": [resource], "detail": orjson.Fragment(text)}).decode()
        return (at, target, records.DETAIL_TYPES[kind], body)
