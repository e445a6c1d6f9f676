"""Claim: take pending mail and arm it, in one transaction that reads everything that could forbid it.

Tenant, campaign, sender, identity, suppression and limits are read in the same transaction that moves rows
from pending to sending. Only after it has committed may SES be called, once.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formataddr
from typing import Any

from sqlalchemy import Row, Select, exists, null, select, update
from sqlalchemy.orm import Session

from core import limits, suppressions
from core.app import App
from core.content import CompiledContent, MissingField, compile_content
from core.db.models import Account, Campaign, Content, Identity, Message, Sender, Tenant
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.identities import why_no_campaign
from core.providers.base import BulkEntry, BulkMail

# SES takes 1 MB of JSON per call; what surrounds the entries is small.
MAX_CALL_BYTES = 900_000
UNSUBSCRIBE_FIELD = "unsubscribe_url"  # {{unsubscribe_url}} in a campaign's content
MAY_SEND = (SendingStatus.ENABLED, SendingStatus.REINSTATED)


@dataclass(frozen=True, slots=True)
class Call:
    """One armed request: whom it is for, and what is needed to record its reply."""

    attempt: str
    account_id: int
    region: str
    tenant_id: int
    campaign_id: int | None
    message_ids: tuple[int, ...]
    mail: BulkMail
    armed_at: float  # monotonic seconds


@dataclass(frozen=True, slots=True)
class Claimed:
    calls: list[Call]
    wait_seconds: float  # when nothing could be claimed: how long until it is worth asking again
    is_idle: bool  # nothing is waiting that could go out


@dataclass
class Turn:
    """What a worker remembers between claims: whose turn it is, where it was, compiled contents."""

    worker: str
    last_tenant_id: int = 0
    last_message_id: dict[int, int] = field(default_factory=dict)  # by campaign
    contents: dict[int, CompiledContent] = field(default_factory=dict)
    # Tenant -> until when (monotonic) it rests, because SES does not send for it.
    resting: dict[int, float] = field(default_factory=dict)

    def rest(self, tenant_id: int, until: float) -> None:
        self.resting[tenant_id] = until

    def resting_at(self, monotonic: float) -> list[int]:
        self.resting = {id_: until for id_, until in self.resting.items() if until > monotonic}
        return sorted(self.resting)


def claim(app: App, turn: Turn, account_id: int, outstanding: int) -> Claimed:
    """Arm up to what the account allows and `outstanding` (rows between claim and reply) leaves room for."""
    armed_at = app.clock.monotonic()
    now = app.now()
    with app.db.begin() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        resting = turn.resting_at(armed_at)
        work = _next_work(session, turn, account_id, resting)
        if work is None:
            return Claimed([], 0.5, is_idle=not resting)
        room = limits.block_size(account) - outstanding
        if room <= 0:
            return Claimed([], 0.5, is_idle=False)
        allowed = limits.allowance(session, account, now)
        if allowed.recipients == 0:
            if allowed.closes:
                limits.close(session, account_id, until=now + allowed.closes, reason=allowed.reason)
            return Claimed([], min(allowed.wait_seconds, 5.0), is_idle=allowed.wait_seconds >= 60)
        rows = _pending(session, turn, work, min(room, allowed.recipients))
        entries = _armable(app, session, turn, work, rows)
        if not entries:
            _finish_if_done(session, work, now)
            return Claimed([], 0.0 if rows else 0.05, is_idle=False)
        calls = [
            _arm(app, session, turn, work, account, part, now, armed_at)
            for part in _parts(entries, limits.call_size(account), _weight(turn, work))
        ]
        limits.grant(session, account_id, {call.attempt: len(call.message_ids) for call in calls}, now)
    return Claimed(calls, 0.0, is_idle=False)


def accounts_with_work(session: Session) -> list[tuple[int, str]]:
    """Accounts (id, region) whose tenants have something to send."""
    campaigns = select(Tenant.account_id).join(Campaign, Campaign.tenant_id == Tenant.id)
    campaigns = campaigns.where(Campaign.status == CampaignStatus.SENDING)
    single = select(Tenant.account_id).join(Message, Message.tenant_id == Tenant.id)
    single = single.where(Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING)
    query = select(Account.id, Account.region).where(Account.id.in_(campaigns.union(single)))
    return [(row.id, row.region) for row in session.execute(query.order_by(Account.id))]


def _next_work(
    session: Session, turn: Turn, account_id: int, resting: list[int]
) -> Row[*tuple[Any, ...]] | None:
    """The next tenant's mail that may go out: single messages first, then its oldest campaign."""
    single = session.execute(_may_go(_singles(account_id)).where(Tenant.id.not_in(resting))).first()
    if single is not None:
        return single
    able = []
    for work in session.execute(_campaigns(account_id).where(Tenant.id.not_in(resting))):
        if _why_not(work) is None:
            able.append(work)
        else:
            _block(session, work)
    if not able:
        return None
    later = [work for work in able if work.tenant_id > turn.last_tenant_id]
    turn.last_tenant_id = (later or able)[0].tenant_id
    return (later or able)[0]


_WHERE_IT_COMES_FROM = (
    Tenant.id.label("tenant_id"),
    Tenant.account_id,
    Tenant.slug,
    Tenant.configuration_set,
    Sender.address,
    Sender.display_name,
    Sender.deleted_at,
    Identity.id.label("identity_id"),
    Identity.name.label("identity_name"),
    Identity.type.label("identity_type"),
    Identity.verified_for_sending,
    Identity.dkim_status,
)


def _campaigns(account_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Campaign.id.label("campaign_id"),
            null().label("message_id"),
            Campaign.content_id,
            Campaign.created_by,
            *_WHERE_IT_COMES_FROM,
        )
        .join(Tenant, Tenant.id == Campaign.tenant_id)
        .join(Sender, Sender.id == Campaign.sender_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Campaign.status == CampaignStatus.SENDING)
        .where(Tenant.account_id == account_id, Tenant.sending_status.in_(MAY_SEND))
        .order_by(Tenant.id, Campaign.id)
    )


def _singles(account_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            null().label("campaign_id"),
            Message.id.label("message_id"),
            Message.content_id,
            Message.created_by,
            *_WHERE_IT_COMES_FROM,
        )
        .join(Tenant, Tenant.id == Message.tenant_id)
        .join(Sender, Sender.id == Message.sender_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING)
        .where(Tenant.account_id == account_id)
        .order_by(Message.id)
        .limit(1)
    )


def _may_go(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.where(
        Tenant.sending_status.in_(MAY_SEND), Sender.deleted_at.is_(None), Identity.verified_for_sending
    )


def _why_not(work: Row[*tuple[Any, ...]]) -> str | None:
    if work.deleted_at is not None:
        return f"The sender {work.address} was removed."
    return why_no_campaign(
        work.identity_name, work.identity_type, work.verified_for_sending, work.dkim_status
    )


def _block(session: Session, work: Row[*tuple[Any, ...]]) -> None:
    """Looked at again with the identity's row held: a check that verifies it lets blocked campaigns go on,
    and must not miss this one."""
    session.execute(select(Identity.id).where(Identity.id == work.identity_id).with_for_update(read=True))
    again = session.execute(_campaigns(work.account_id).where(Campaign.id == work.campaign_id)).first()
    if again is None or (reason := _why_not(again)) is None:
        return
    session.execute(
        update(Campaign)
        .where(Campaign.id == work.campaign_id, Campaign.status == CampaignStatus.SENDING)
        .values(status=CampaignStatus.BLOCKED, status_reason=reason, version=Campaign.version + 1)
    )


def _pending(
    session: Session, turn: Turn, work: Row[*tuple[Any, ...]], limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    columns = select(Message.id, Message.address, Message.address_key, Message.fields)
    waiting = columns.where(Message.status == MessageStatus.PENDING).order_by(Message.id).limit(limit)
    waiting = waiting.with_for_update(skip_locked=True, of=Message)
    if work.campaign_id is None:
        return session.execute(waiting.where(Message.id == work.message_id)).all()
    waiting = waiting.where(Message.campaign_id == work.campaign_id)
    # By keyset: without it PostgreSQL walks the dead index entries of all earlier claims.
    after = turn.last_message_id.get(work.campaign_id, 0)
    rows = session.execute(waiting.where(Message.id > after)).all()
    if not rows and after:
        rows = session.execute(waiting).all()  # those that went back to pending
    turn.last_message_id[work.campaign_id] = rows[-1].id if rows else 0
    return rows


def _armable(
    app: App, session: Session, turn: Turn, work: Row[*tuple[Any, ...]], rows: Sequence[Row[*tuple[Any, ...]]]
) -> list[tuple[int, BulkEntry]]:
    """The rows that may be sent to; the others leave pending here, with their reason."""
    suppressed = suppressions.suppressed_among(session, work.tenant_id, [row.address_key for row in rows])
    content = _content(session, turn, work.content_id)
    entries = []
    refused: dict[int, tuple[MessageStatus, str]] = {}
    for row in rows:
        if row.address_key in suppressed:
            refused[row.id] = (MessageStatus.SUPPRESSED, "The address is on the suppression list.")
            continue
        try:
            link = _unsubscribe_link(app, work, row.id)
            values = content.values(row.address, {UNSUBSCRIBE_FIELD: link, **row.fields})
        except MissingField as e:
            refused[row.id] = (MessageStatus.FAILED, str(e))
            continue
        entries.append((row.id, BulkEntry(row.address, "", values, _headers(link))))
    for message_id, (status, reason) in refused.items():
        session.execute(update(Message).where(Message.id == message_id).values(status=status, reason=reason))
    return entries


def _unsubscribe_link(app: App, work: Row[*tuple[Any, ...]], message_id: int) -> str | None:
    """For campaigns, when the installation can be reached from outside."""
    if not app.settings.public_url or work.campaign_id is None:
        return None
    token = suppressions.unsubscribe_token(app.secret_key(), work.tenant_id, message_id)
    return f"{app.settings.public_url.rstrip('/')}/u/{token}"


def _headers(unsubscribe_link: str | None) -> dict[str, str]:
    """One-click unsubscribe (RFC 8058)."""
    if unsubscribe_link is None:
        return {}
    return {
        "List-Unsubscribe": f"<{unsubscribe_link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _content(session: Session, turn: Turn, content_id: int) -> CompiledContent:
    if content_id not in turn.contents:
        if len(turn.contents) > 100:
            turn.contents.clear()
        row = session.get_one(Content, content_id)
        turn.contents[content_id] = compile_content(row.subject, row.html, row.text, row.fallbacks)
    return turn.contents[content_id]


def _weight(turn: Turn, work: Row[*tuple[Any, ...]]) -> int:
    content = turn.contents[work.content_id]
    return len((content.subject + content.html + content.text).encode())


def _parts(
    entries: list[tuple[int, BulkEntry]], size: int, content_bytes: int
) -> Iterator[list[tuple[int, BulkEntry]]]:
    """Calls of at most `size` entries and MAX_CALL_BYTES."""
    part: list[tuple[int, BulkEntry]] = []
    weight = content_bytes
    for entry in entries:
        own = 200 + sum(len(value.encode()) for value in entry[1].fields.values())
        if part and (len(part) == size or weight + own > MAX_CALL_BYTES):
            yield part
            part, weight = [], content_bytes
        part.append(entry)
        weight += own
    yield part


def _arm(
    app: App,
    session: Session,
    turn: Turn,
    work: Row[*tuple[Any, ...]],
    account: Account,
    part: list[tuple[int, BulkEntry]],
    now: datetime,
    armed_at: float,
) -> Call:
    attempt = secrets.token_hex(8)
    ids = tuple(message_id for message_id, _ in part)
    armed = session.execute(
        update(Message)
        .where(Message.id.in_(ids), Message.status == MessageStatus.PENDING)
        .values(
            status=MessageStatus.SENDING,
            attempt=attempt,
            worker=turn.worker,
            armed_at=now,
            provider="ses",
            reason=None,
        )
    )
    if armed.rowcount != len(ids):  # type: ignore[attr-defined]  # an UPDATE's result has it
        raise RuntimeError("rows that this transaction holds were changed by somebody else")
    mail = _mail(turn, work, part, attempt)
    return Call(attempt, account.id, account.region, work.tenant_id, work.campaign_id, ids, mail, armed_at)


def _mail(
    turn: Turn, work: Row[*tuple[Any, ...]], part: list[tuple[int, BulkEntry]], attempt: str
) -> BulkMail:
    content = turn.contents[work.content_id]
    return BulkMail(
        from_address=formataddr((work.display_name, work.address)),
        subject=content.subject,
        html=content.html,
        text=content.text,
        entries=tuple(
            BulkEntry(entry.address, f"{message_id}-{attempt}", entry.fields, entry.headers)
            for message_id, entry in part
        ),
        tenant_name=work.slug,
        configuration_set=work.configuration_set,
        tags=_tags(work),
    )


def _tags(work: Row[*tuple[Any, ...]]) -> dict[str, str]:
    """SES allows letters, digits, - and _ in a tag's value."""
    user = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in work.created_by or "")
    return {"tenant": work.slug, "campaign": str(work.campaign_id or 0), "user": user or "unknown"}


def _finish_if_done(session: Session, work: Row[*tuple[Any, ...]], now: datetime) -> None:
    if work.campaign_id is None:
        return
    waiting = exists().where(
        Message.campaign_id == work.campaign_id,
        Message.status.in_((MessageStatus.PENDING, MessageStatus.SENDING)),
    )
    session.execute(
        update(Campaign)
        .where(Campaign.id == work.campaign_id, Campaign.status == CampaignStatus.SENDING, ~waiting)
        .values(status=CampaignStatus.SENT, finished_at=now, version=Campaign.version + 1)
    )
