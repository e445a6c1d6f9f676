"""History: ninety days of a demo tenant's mail, written as sending and ingest would have stored it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from core import audit, templates
from core.access import SYSTEM, Actor, Role
from core.db.models import Campaign, Event, Message, Suppression, Tenant
from core.db.states import BounceType, CampaignStatus, EventType, SuppressionReason
from core.demo.plans import Plan
from core.demo.stories import Happening, Mailing, Reader, story_of
from core.events import counting
from core.events.fold import fold

DAYS = 90
RATE_PER_SECOND = 14  # SES's first rate outside the sandbox
CAMPAIGN_HOUR = 9
UNSUBSCRIBE_RATE = 0.002
OPERATOR = Actor(username="maria", role=Role.OPERATOR)
FIRST_NAMES = (
    "Ada",
    "Bo",
    "Chloé",
    "Dmitri",
    "Elif",
    "Grażyna",
    "Hana",
    "Jürgen",
    "Keiko",
    "Mei",
    "Noor",
    "Søren",
)
LAST_NAMES = (
    "Adler",
    "Brown",
    "Castro",
    "Dubois",
    "Eriksen",
    "García",
    "Haddad",
    "Ito",
    "Kaya",
    "Moreau",
    "Novák",
)
DOMAINS = (("example.com", 50), ("example.net", 22), ("example.org", 15), ("mail.example.com", 13))


def write(session: Session, plan: Plan, tenant_id: int, sender_id: int, now: datetime) -> None:
    """The same plan and day give the same history."""
    rng = Random(plan.slug)
    writer = _Writer(session, rng, plan, tenant_id, sender_id, now)
    for mailing in _mailings(plan, rng, writer.unreachable, now):
        writer.write_events(before=mailing.at)
        writer.write(mailing)
    writer.write_events(before=None)
    _write_pause(session, plan, tenant_id, now)
    counting.write(session, counting.recount(session, tenant_id))


def _mailings(plan: Plan, rng: Random, unreachable: set[str], now: datetime) -> Iterator[Mailing]:
    readers = _readers(rng, plan.slug[:2], plan.readers)
    campaigns = 0
    for days_ago in range(DAYS, -1, -1):
        day = now.date() - timedelta(days=days_ago)
        if _is_paused(plan, days_ago):
            continue
        reachable = [reader for reader in readers if reader.address not in unreachable]
        yield _transactional(plan, rng, day, reachable)
        if plan.bad_week and days_ago == plan.bad_week.days_ago:
            yield _bad_campaign(plan, rng, day)
        elif day.weekday() == plan.campaign_weekday:
            theme = plan.themes[campaigns % len(plan.themes)]
            campaigns += 1
            share = 0.6 + 0.4 * (DAYS - days_ago) / DAYS  # the list grows
            yield _campaign(plan, rng, f"{theme}, {day:%d %B}", day, reachable[: int(share * len(reachable))])


def _campaign(plan: Plan, rng: Random, name: str, day: date, readers: list[Reader]) -> Mailing:
    spread = rng.uniform(0.5, 1.6)
    return Mailing(
        name=name,
        at=_at(day, CAMPAIGN_HOUR),
        readers=readers,
        bounce_rate=plan.bounce_rate * spread,
        complaint_rate=plan.complaint_rate,
        open_rate=plan.open_rate * rng.uniform(0.8, 1.15),
        per_second=RATE_PER_SECOND,
    )


def _bad_campaign(plan: Plan, rng: Random, day: date) -> Mailing:
    assert plan.bad_week is not None
    return Mailing(
        name=plan.bad_week.campaign,
        at=_at(day, CAMPAIGN_HOUR),
        readers=_readers(rng, "fair", plan.bad_week.recipients),
        bounce_rate=plan.bad_week.bounce_rate,
        complaint_rate=0.006,
        open_rate=0.1,
        per_second=RATE_PER_SECOND,
    )


def _transactional(plan: Plan, rng: Random, day: date, readers: list[Reader]) -> Mailing:
    """Spread over the day; less on weekends."""
    usual = plan.daily_mail if day.weekday() < 5 else plan.daily_mail // 3
    number = max(1, round(usual * rng.uniform(0.7, 1.3)))
    return Mailing(
        name=None,
        at=_at(day, 1),
        readers=rng.sample(readers, min(number, len(readers))),
        bounce_rate=plan.bounce_rate / 2,
        complaint_rate=0.0,
        open_rate=0.0,
        per_second=number / timedelta(hours=20).total_seconds(),
    )


def _at(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour), tzinfo=UTC)


def _is_paused(plan: Plan, days_ago: int) -> bool:
    bad = plan.bad_week
    return bad is not None and bad.days_ago - bad.paused_days <= days_ago < bad.days_ago


def _readers(rng: Random, prefix: str, number: int) -> list[Reader]:
    found = []
    for n in range(number):
        first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
        (domain,) = rng.choices([name for name, _ in DOMAINS], [weight for _, weight in DOMAINS])
        found.append(Reader(f"{prefix}.reader{n}@{domain}", {"first_name": first, "last_name": last}))
    return found


class _Writer:
    """Writes mailings in one transaction; knows who became unreachable on the way."""

    def __init__(
        self, session: Session, rng: Random, plan: Plan, tenant_id: int, sender_id: int, now: datetime
    ) -> None:
        self._session = session
        self._rng = rng
        self._plan = plan
        self._tenant_id = tenant_id
        self._sender_id = sender_id
        self._now = now
        self._contents: dict[bool, int] = {}
        self.unreachable: set[str] = set()
        self._events: list[dict[str, Any]] = []  # that wait for those of later mailings

    def write_events(self, before: datetime | None) -> None:
        """In the order in which they came, as ingest stores them; None: all that are left."""
        rows = sorted(self._events, key=lambda row: row["received_at"])
        come = [row for row in rows if before is None or row["received_at"] < before]
        self._events = rows[len(come) :]
        if come:
            self._session.execute(insert(Event), come)

    def write(self, mailing: Mailing) -> None:
        armed = [
            (reader, mailing.at + timedelta(seconds=n / mailing.per_second))
            for n, reader in enumerate(mailing.readers)
        ]
        armed = [(reader, at) for reader, at in armed if at < self._now - timedelta(minutes=5)]
        if not armed or (mailing.name and len(armed) < len(mailing.readers)):
            return  # its hour has not come today
        content_id = self._content(mailing)
        campaign_id = self._campaign(mailing, content_id, armed[-1][1]) if mailing.name else None
        stories = [story_of(self._rng, mailing, at, self._now) for _, at in armed]
        rows = [
            self._message(reader, at, content_id, campaign_id, story)
            for (reader, at), story in zip(armed, stories, strict=True)
        ]
        returning = insert(Message).returning(Message.id, sort_by_parameter_order=True)
        ids = list(self._session.scalars(returning, rows))
        self._keep_events(ids, armed, stories)
        self._write_suppressions(campaign_id, armed, stories)

    def _content(self, mailing: Mailing) -> int:
        is_campaign = mailing.name is not None
        if is_campaign not in self._contents:
            subject = "News from us, {{first_name}}" if is_campaign else "Your receipt, {{first_name}}"
            html = "<h1>Hello {{first_name}}</h1><p>This mail is part of a demonstration.</p>"
            content = templates.store(
                self._session, self._tenant_id, subject, html, "Hello {{first_name}}", {}, mailing.at
            )
            self._session.flush()
            self._contents[is_campaign] = content.id
        return self._contents[is_campaign]

    def _campaign(self, mailing: Mailing, content_id: int, ended_at: datetime) -> int:
        campaign = Campaign(
            tenant_id=self._tenant_id,
            sender_id=self._sender_id,
            content_id=content_id,
            name=str(mailing.name),
            status=CampaignStatus.SENT,
            recipients=len(mailing.readers),
            created_by=OPERATOR.username,
            created_at=mailing.at - timedelta(minutes=40),
            started_at=mailing.at,
            finished_at=ended_at,
        )
        self._session.add(campaign)
        self._session.flush()
        return campaign.id

    def _message(
        self,
        reader: Reader,
        armed_at: datetime,
        content_id: int,
        campaign_id: int | None,
        story: list[Happening],
    ) -> dict[str, Any]:
        return {
            "tenant_id": self._tenant_id,
            "campaign_id": campaign_id,
            "sender_id": self._sender_id,
            "content_id": content_id,
            "address": reader.address,
            "address_key": reader.address,
            "fields": reader.fields,
            "provider": "ses",
            "provider_message_id": f"{self._rng.getrandbits(96):024x}",
            "created_by": OPERATOR.username if campaign_id else "shop",
            "created_at": armed_at - timedelta(minutes=40 if campaign_id else 0),
            "armed_at": armed_at,
            **asdict(fold(story)),
        }

    def _keep_events(
        self, ids: list[int], armed: list[tuple[Reader, datetime]], stories: list[list[Happening]]
    ) -> None:
        self._events += [
            {
                "uid": f"demo-{message_id}-{n}",
                "tenant_id": self._tenant_id,
                "message_id": message_id,
                "recipient": reader.address,
                "received_at": happening.occurred_at + timedelta(seconds=2),
                "raw": f'{{"eventType":"{happening.type}","demo":true}}',
                **asdict(happening),
            }
            for message_id, (reader, _), story in zip(ids, armed, stories, strict=True)
            for n, happening in enumerate(story)
        ]

    def _write_suppressions(
        self,
        campaign_id: int | None,
        armed: list[tuple[Reader, datetime]],
        stories: list[list[Happening]],
    ) -> None:
        rows = []
        for (reader, _), story in zip(armed, stories, strict=True):
            cause = self._cause(story, campaign_id)
            if cause is None or reader.address in self.unreachable:
                continue
            reason, at = cause
            self.unreachable.add(reader.address)
            rows.append(
                {
                    "tenant_id": self._tenant_id,
                    "address": reader.address,
                    "reason": reason,
                    "source": "unsubscribe" if reason == SuppressionReason.UNSUBSCRIBE else "event",
                    "campaign_id": campaign_id,
                    "created_by": SYSTEM.username,
                    "created_at": at,
                }
            )
        if rows:
            self._session.execute(insert(Suppression), rows)

    def _cause(
        self, story: list[Happening], campaign_id: int | None
    ) -> tuple[SuppressionReason, datetime] | None:
        last = story[-1]
        if last.type == EventType.COMPLAINT:
            return SuppressionReason.COMPLAINT, last.occurred_at
        if last.bounce_type == BounceType.PERMANENT:
            return SuppressionReason.BOUNCE, last.occurred_at
        if campaign_id and last.type != EventType.SEND and self._rng.random() < UNSUBSCRIBE_RATE:
            return SuppressionReason.UNSUBSCRIBE, last.occurred_at
        return None


def _write_pause(session: Session, plan: Plan, tenant_id: int, now: datetime) -> None:
    """The audit of the bad week: who paused whom, and who let it go on."""
    bad = plan.bad_week
    if bad is None:
        return
    paused_at = _at(now.date() - timedelta(days=bad.days_ago), CAMPAIGN_HOUR) + timedelta(minutes=2)
    resumed_at = paused_at + timedelta(days=bad.paused_days, hours=1)
    audit.record(
        session,
        SYSTEM,
        "pause tenant",
        plan.slug,
        at=paused_at,
        tenant_id=tenant_id,
        reason=f"Bounce rate over 10 % in campaign '{bad.campaign}'; the limit is 10 %.",
        signal="bounce",
        bad=round(bad.bounce_rate * bad.recipients),
        outcomes=bad.recipients,
        scope=f"campaign '{bad.campaign}'",
    )
    audit.record(
        session,
        OPERATOR,
        "resume tenant",
        plan.slug,
        at=resumed_at,
        tenant_id=tenant_id,
        reason="The bought list is deleted; they mail their own readers again.",
    )
    session.execute(update(Tenant).where(Tenant.id == tenant_id).values(resumed_at=resumed_at))
