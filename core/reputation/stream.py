"""Stream: a tenant's outcomes one after the other, and what the rule makes of them at every bad one. Pure.

Bounces are measured against mail with an outcome. Complaints come hours after the delivery, so they are
measured against delivered mail weighted by the share of its complaints that should have come by now: whoever
feeds the stream says of each delivery in which hour it was armed, and what that share is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from core.reputation.rule import Level, Rule, Signal, wilson_lower_bound

BUCKET = 100  # outcomes
WINDOWS = {"the last 1,000 messages with an outcome": 10, "the last 10,000 messages with an outcome": 100}
LARGEST_WINDOW = max(WINDOWS.values())
COMPLAINT_WINDOW = 50_000  # delivered, weighted
DRIFT_WINDOW = 5_000
DRIFT_SCOPE = "the latest mail"
DELIVERED_SCOPE = "the last {:,} delivered messages"
SMALL_EVIDENCE = 20  # bounces below which one domain's trouble is told before it pauses
ONE_DOMAIN = 0.8  # of the bounces: more are that domain's trouble
MOST_DOMAINS = 50  # of a campaign, kept by name
TRANSACTIONAL = 0


class Outcome(Protocol):
    """One message's step: what it adds to each number, 1, 0 or -1."""

    @property
    def campaign_id(self) -> int: ...  # 0: transactional
    @property
    def domain(self) -> str: ...  # the recipient's
    @property
    def outcomes(self) -> int: ...
    @property
    def permanent_bounces(self) -> int: ...
    @property
    def delivered(self) -> int: ...
    @property
    def complaints(self) -> int: ...


@dataclass(slots=True)
class Scope:
    """A campaign's numbers since the last resume."""

    outcomes: int = 0
    permanent_bounces: int = 0
    delivered: int = 0
    complaints: int = 0
    immature: float = 0.0  # of the delivered: the share whose complaints have not come yet
    domains: dict[str, int] = field(default_factory=dict)  # of those who bounced


@dataclass(slots=True)
class Bucket:
    permanent_bounces: int = 0
    domains: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Hour:
    delivered: int = 0
    complaints: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The evidence of one signal in one scope that reaches a level."""

    signal: Signal
    scope: str
    campaign_id: int | None  # None: a scope of all the tenant's mail
    bad: int
    among: float
    level: Level
    is_lasting: bool = False  # found by the CUSUM
    domains: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        return self.bad / self.among if self.among else 0.0

    @property
    def lower_bound(self) -> float:
        return wilson_lower_bound(self.bad, self.among, self.level.z)

    @property
    def top_domain(self) -> tuple[str, float] | None:
        """Where most of the bad messages went, and the share of them."""
        if not self.domains:
            return None
        domain, count = max(self.domains.items(), key=lambda entry: (entry[1], entry[0]))
        return domain, count / max(sum(self.domains.values()), self.bad)

    @property
    def is_one_domains(self) -> bool:
        """Few bounces, nearly all at one domain: rather its trouble than the list's."""
        top = self.top_domain
        few = self.signal is Signal.BOUNCE and self.bad < SMALL_EVIDENCE
        return few and top is not None and top[1] > ONE_DOMAIN


@dataclass(slots=True)
class _Window:
    """The bounces in the buckets from `first` on."""

    buckets: int
    first: int = 0
    bounces: int = 0


@dataclass(slots=True)
class Stream:
    """Where a tenant stands. `pause` and `warnings` are what feeding has found; after a pause, or of one that
    is paused already, nothing more is judged."""

    rule: Rule
    weight: Callable[[Any], float] = lambda _: 1.0  # by the hour: the share of its complaints that has come
    outcomes: int = 0
    delivered: int = 0
    immature: float = 0.0  # as a campaign's
    matured: float = 0.0  # of the delivered, when a complaint last came
    bounce_cusum: float = 0.0
    drift_outcomes: int = 0  # since bounce_cusum was last 0
    drift_bounces: int = 0
    complaint_cusum: float = 0.0
    probation_left: int = 0
    warned: set[Signal] = field(default_factory=set)  # a warning is open that people can see
    campaigns: dict[int, Scope] = field(default_factory=dict)
    buckets: dict[int, Bucket] = field(default_factory=dict)
    hours: dict[Any, Hour] = field(default_factory=dict)
    is_judged: bool = True
    pause: Finding | None = None
    warnings: dict[Signal, Finding] = field(default_factory=dict)
    windows: list[_Window] = field(init=False)

    def __post_init__(self) -> None:
        self.windows = [_Window(buckets) for buckets in WINDOWS.values()]
        for window in self.windows:
            window.first = max(0, self.bucket - window.buckets + 1)
            numbers = (number for number in self.buckets if number >= window.first)
            window.bounces = sum(self.buckets[number].permanent_bounces for number in numbers)

    @property
    def bucket(self) -> int:
        """Number of the newest."""
        return max(0, self.outcomes - 1) // BUCKET

    def pass_good(self, delivered: int, campaign_id: int = TRANSACTIONAL, hour: Any = None) -> None:
        """So many delivered messages in a row: the same as to feed them one by one."""
        campaign = self.campaigns.setdefault(campaign_id, Scope())
        campaign.outcomes += delivered
        self._move_windows(delivered)
        self._drift(delivered)
        self._deliver(campaign, delivered, hour)

    def feed(self, outcome: Outcome, hour: Any = None) -> None:
        campaign = self.campaigns.setdefault(outcome.campaign_id, Scope())
        if outcome.outcomes:
            campaign.outcomes += outcome.outcomes
            self._move_windows(outcome.outcomes)
        if outcome.permanent_bounces:
            self._bounce(campaign, outcome.domain)
        elif outcome.outcomes:
            self._drift(outcome.outcomes)
        if outcome.delivered:
            self._deliver(campaign, outcome.delivered, hour)
        if outcome.complaints:
            self._complain(campaign, hour)
        if outcome.permanent_bounces:
            self._judge(Signal.BOUNCE, outcome.campaign_id)
        if outcome.complaints:
            self._judge(Signal.COMPLAINT, outcome.campaign_id)

    def found(self, signal: Signal, level: Level, *campaign_ids: int) -> Iterator[Finding]:
        """Where the level is reached: in these campaigns and in the windows of all mail."""
        for scope in self._scopes(signal, campaign_ids):
            name, campaign_id, bad, among = scope
            if level.is_reached(bad, among):
                yield Finding(
                    signal, name, campaign_id, bad, among, level, domains=self._domains(signal, scope)
                )

    def _move_windows(self, outcomes: int) -> None:
        self.outcomes += outcomes
        self.probation_left = max(0, self.probation_left - outcomes)
        newest = self.bucket
        for window in self.windows:
            first = newest - window.buckets + 1
            if first > window.first:
                gone = range(window.first, min(first, window.first + window.buckets))
                window.bounces -= sum(self.buckets[n].permanent_bounces for n in gone if n in self.buckets)
                window.first = first
        if len(self.buckets) > 2 * LARGEST_WINDOW:
            self.buckets = {n: b for n, b in self.buckets.items() if n > newest - LARGEST_WINDOW}

    def _bounce(self, campaign: Scope, domain: str) -> None:
        bucket = self.buckets.setdefault(self.bucket, Bucket())
        bucket.permanent_bounces += 1
        bucket.domains[domain] = bucket.domains.get(domain, 0) + 1
        campaign.permanent_bounces += 1
        if domain in campaign.domains or len(campaign.domains) < MOST_DOMAINS:
            campaign.domains[domain] = campaign.domains.get(domain, 0) + 1
        for window in self.windows:
            window.bounces += 1
        self._drift(0, 1)

    def _drift(self, good: int, bounces: int = 0) -> None:
        self.bounce_cusum = self.rule.cusum[Signal.BOUNCE].after(self.bounce_cusum, good, bounces)
        if not self.bounce_cusum:
            self.drift_outcomes = self.drift_bounces = 0
            return
        self.drift_outcomes += good + bounces
        self.drift_bounces += bounces

    def _deliver(self, campaign: Scope, delivered: int, hour: Any) -> None:
        young = (1 - self.weight(hour)) * delivered
        campaign.delivered += delivered
        campaign.immature += young
        self.delivered += delivered
        self.immature += young
        self.hours.setdefault(hour, Hour()).delivered += delivered

    def _complain(self, campaign: Scope, hour: Any) -> None:
        campaign.complaints += 1
        self.hours.setdefault(hour, Hour()).complaints += 1
        now = self.delivered - self.immature
        cusum = self.rule.cusum[Signal.COMPLAINT]
        self.complaint_cusum = cusum.after(self.complaint_cusum, now - self.matured, 1)
        self.matured = now

    def _judge(self, signal: Signal, campaign_id: int) -> None:
        if self.pause is not None or not self.is_judged:
            return
        found = list(self.found(signal, self._pause_level(signal), campaign_id))
        if not found:
            found = [self._lasting(signal)] if self._lasts(signal) else []
        told_first = signal not in self.warned
        self.pause = next((finding for finding in found if not (told_first and finding.is_one_domains)), None)
        if self.pause is None:
            warning = next(self.found(signal, self.rule.warn[signal], campaign_id), *found[:1] or (None,))
            if warning is not None:
                self.warnings[signal] = warning

    def _pause_level(self, signal: Signal) -> Level:
        levels = self.rule.pause_on_probation if self.probation_left else self.rule.pause
        return levels[signal]

    def _lasts(self, signal: Signal) -> bool:
        cusum = self.rule.cusum[signal]
        if signal is Signal.BOUNCE:
            return self.bounce_cusum >= cusum.alarm
        if self.complaint_cusum < cusum.alarm:
            return False
        # Complaints may come in clumps, after an outage all at once: only a rate that the mail they are about
        # shows as well is one that lasts.
        bad, among = self._delivered_window(DRIFT_WINDOW)
        return bad >= cusum.good_rate * among

    def _lasting(self, signal: Signal) -> Finding:
        """What the CUSUM found: bounces since it was last 0, complaints of the window that shows them."""
        level = self._pause_level(signal)
        if signal is Signal.COMPLAINT:
            bad, among = self._delivered_window(DRIFT_WINDOW)
            scope = DELIVERED_SCOPE.format(DRIFT_WINDOW)
            return Finding(signal, scope, None, bad, among, level, is_lasting=True)
        scope, bounces, outcomes = DRIFT_SCOPE, self.drift_bounces, self.drift_outcomes
        domains = self._domains(signal, next(self._scopes(signal, ())))
        return Finding(signal, scope, None, bounces, outcomes, level, is_lasting=True, domains=domains)

    def _scopes(
        self, signal: Signal, campaign_ids: tuple[int, ...]
    ) -> Iterator[tuple[str, int | None, int, float]]:
        """Name, campaign, bad messages, and those they are measured against."""
        for campaign_id in campaign_ids:
            if campaign_id != TRANSACTIONAL:
                campaign = self.campaigns[campaign_id]
                yield ("the campaign", campaign_id, *_measured(signal, campaign))
        if signal is Signal.COMPLAINT:
            yield (
                DELIVERED_SCOPE.format(COMPLAINT_WINDOW), None, *self._delivered_window(COMPLAINT_WINDOW)
            )  # fmt: skip
            return
        for name, window in zip(WINDOWS, self.windows, strict=True):
            yield name, None, window.bounces, self.outcomes - BUCKET * window.first

    def _delivered_window(self, size: int) -> tuple[int, float]:
        """Complaints about the mail of the newest hours with so many delivered, weighted. Hours before the
        largest window are forgotten."""
        bad, among = 0, 0.0
        hours = sorted(self.hours, reverse=True)
        for position, key in enumerate(hours):
            hour = self.hours[key]
            bad += hour.complaints
            among += hour.delivered * self.weight(key)
            if among >= size:
                for old in hours[position + 1 :] if size == COMPLAINT_WINDOW else ():
                    del self.hours[old]
                break
        return bad, max(among, float(bad))

    def _domains(self, signal: Signal, scope: tuple[str, int | None, int, float]) -> dict[str, int]:
        if signal is Signal.COMPLAINT:
            return {}
        name, campaign_id, _, _ = scope
        if campaign_id is not None:
            return dict(self.campaigns[campaign_id].domains)
        first = self.bucket - WINDOWS[name] + 1
        domains: dict[str, int] = {}
        for number, bucket in self.buckets.items():
            if number >= first:
                for domain, count in bucket.domains.items():
                    domains[domain] = domains.get(domain, 0) + count
        return domains


def _measured(signal: Signal, campaign: Scope) -> tuple[int, float]:
    if signal is Signal.BOUNCE:
        return campaign.permanent_bounces, campaign.outcomes
    # Who complains has the message, even when that report has not come yet.
    return campaign.complaints, max(campaign.delivered - campaign.immature, float(campaign.complaints))
