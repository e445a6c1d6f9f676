"""Dry run: what the rule would have made of a history of outcomes. Pure.

Each block is judged as `judging` judges it when it is stored. After a pause somebody is supposed to cancel
the campaign that it came from, and to resume the tenant when its next campaign starts, or after a day: so the
replay goes on and may find more than one.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from core.reputation import maturity
from core.reputation.rule import Rule, Signal
from core.reputation.stream import Finding, Hour, Stream
from core.reputation.windows import RECENT, Step, hour_of

RESUMED_AFTER = timedelta(days=1)  # at the latest
LOOK_AGAIN = timedelta(minutes=5)  # whether a warning still holds, where no bad news came
MOST_HOURS = 5_000  # of campaigns: then those whose complaints have all come are forgotten


@dataclass(slots=True)
class WouldPause:
    """`campaign_id`: whose mail decided it, 0 for transactional mail. So far as it had an outcome: `sent` is
    its mail that had left by then, `spared` the tenant's that would not have left, and the bad among it."""

    at: datetime
    finding: Finding
    campaign_id: int
    resumed_at: datetime
    sent: int
    spared: int = 0
    spared_bounces: int = 0
    spared_complaints: int = 0

    def note(self, step: Step) -> None:
        """An outcome that came after the pause."""
        if step.armed_at <= self.at:
            self.sent += step.outcomes if step.campaign_id == self.campaign_id else 0
            return
        self.spared += step.outcomes
        self.spared_bounces += step.permanent_bounces
        self.spared_complaints += step.complaints


@dataclass(frozen=True, slots=True)
class WouldWarn:
    at: datetime
    finding: Finding
    campaign_id: int


@dataclass(slots=True)
class Replay:
    """`starts`: of the tenant's campaigns, sorted."""

    rule: Rule
    starts: Sequence[datetime]
    median_hours: float
    probation_outcomes: int
    pauses: list[WouldPause] = field(default_factory=list)
    warnings: list[WouldWarn] = field(default_factory=list)
    _stream: Stream = field(init=False)
    _cancelled: dict[int, WouldPause] = field(default_factory=dict)  # by campaign
    _last_at: dict[int, datetime] = field(default_factory=dict)  # of a campaign's outcomes
    _hours: dict[tuple[int, datetime], Hour] = field(default_factory=dict)  # by campaign and hour
    _looked_at: datetime | None = None

    def __post_init__(self) -> None:
        self._stream = Stream(self.rule)

    def feed(self, steps: Sequence[Step], at: datetime) -> None:
        """The outcomes that one transaction stored at a time, in their order."""
        stream = self._stream
        stream.warnings = {}
        self._weigh(at, is_asked=any(step.complaints for step in steps if self._ended_by(step) is None))
        campaign_id = 0
        for step in steps:
            if pause := self._ended_by(step):
                pause.note(step)
                continue
            self._feed_one(step, at)
            campaign_id = step.campaign_id
            if stream.pause is not None:
                self._pause(stream.pause, campaign_id, at)
                stream = self._stream
        self._warn(campaign_id, at)

    def _ended_by(self, step: Step) -> WouldPause | None:
        """The pause without which this would not have been sent, or which came before its outcome."""
        if not self.pauses:
            return None
        last = self.pauses[-1]
        return self._cancelled.get(step.campaign_id) or (last if step.armed_at < last.resumed_at else None)

    def _feed_one(self, step: Step, at: datetime) -> None:
        hour_at = hour_of(step.armed_at)
        self._stream.feed(step, hour_at)
        self._last_at[step.campaign_id] = at
        if step.delivered or step.complaints:
            hour = self._hours.setdefault((step.campaign_id, hour_at), Hour())
            hour.delivered += step.delivered
            hour.complaints += step.complaints

    def _pause(self, finding: Finding, campaign_id: int, at: datetime) -> None:
        next_start = bisect_right(self.starts, at)
        resumed_at = at + RESUMED_AFTER
        if next_start < len(self.starts):
            resumed_at = min(resumed_at, self.starts[next_start])
        sent = self._stream.campaigns[campaign_id].outcomes
        self.pauses.append(WouldPause(at, finding, campaign_id, resumed_at, sent))
        if campaign_id:
            self._cancelled[campaign_id] = self.pauses[-1]
        self._stream = Stream(self.rule, probation_left=self.probation_outcomes)
        self._last_at, self._hours = {}, {}

    def _warn(self, campaign_id: int, at: datetime) -> None:
        """Each warning once, until it holds no more."""
        stream = self._stream
        for signal, finding in stream.warnings.items():
            if signal not in stream.warned:
                self.warnings.append(WouldWarn(at, finding, campaign_id))
        ended = stream.warned - stream.warnings.keys()
        stream.warned |= stream.warnings.keys()
        if ended and self._looks_again(at):
            self._end_warnings(ended, at)

    def _end_warnings(self, signals: Iterable[Signal], at: datetime) -> None:
        stream = self._stream
        lately = [id_ for id_, last_at in self._last_at.items() if last_at > at - RECENT]
        if Signal.COMPLAINT in signals:
            self._weigh(at, is_asked=True)
        for signal in list(signals):
            if next(stream.found(signal, self.rule.warn[signal], *lately), None) is None:
                stream.warned.discard(signal)

    def _looks_again(self, at: datetime) -> bool:
        if self._looked_at is not None and at - self._looked_at < LOOK_AGAIN:
            return False
        self._looked_at = at
        return True

    def _weigh(self, at: datetime, *, is_asked: bool) -> None:
        """What of the deliveries has matured by now; asked for only where complaints are measured."""
        if len(self._hours) > MOST_HOURS or is_asked:
            oldest = at - maturity.KEPT_FOR
            self._hours = {key: hour for key, hour in self._hours.items() if key[1] > oldest}
        if not is_asked:
            return
        stream = self._stream
        stream.weight = weight = maturity.weight_at(at, self.median_hours)
        stream.hours, stream.immature = {}, 0.0
        for campaign in stream.campaigns.values():
            campaign.immature = 0.0
        for (campaign_id, hour_at), hour in self._hours.items():
            young = (1 - weight(hour_at)) * hour.delivered
            stream.campaigns[campaign_id].immature += young
            stream.immature += young
            whole = stream.hours.setdefault(hour_at, Hour())
            whole.delivered += hour.delivered
            whole.complaints += hour.complaints
