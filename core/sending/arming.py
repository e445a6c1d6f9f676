"""Arming: rows from pending to sending, and the requests that carry them.

A row that may not be written to leaves pending here, with its reason. Rendering fills in every value, so that
what SES could only tell later (a missing field) is known before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, any_, bindparam, case, func, null, or_, select, update
from sqlalchemy.orm import Session

from core import suppressions
from core.access import SYSTEM
from core.app import App
from core.campaigns.moves import never_sent
from core.content import CompiledContent, MissingField, compile_content
from core.db.models import Content, Message
from core.db.states import MessageStatus, ProviderName
from core.errors import InputError
from core.providers.base import BulkEntry, BulkMail
from core.routes import Route, route
from core.sending.answers import ANY_WAY_AGAIN
from core.sending.turns import Candidate, Work, transactional_query

# SES takes 1 MB of JSON per call; what surrounds the entries is small.
MAX_CALL_BYTES = 900_000
LARGEST_CHARACTER = 6  # bytes: a control character in JSON, \\u0000
UNSUBSCRIBE_FIELD = "unsubscribe_url"  # {{unsubscribe_url}} in a campaign's content
MOST_COMPILED = 100
# Each is a request of its own.
MOST_TRANSACTIONAL = 50

Recipient = Row[*tuple[Any, ...]]  # id, address, address_key, fields


@dataclass(frozen=True, slots=True)
class Armed:
    """What one call carries."""

    campaign_id: int | None
    message_ids: tuple[int, ...]
    mail: BulkMail


class Arms:
    """Inside one claim's transaction."""

    def __init__(
        self,
        app: App,
        session: Session,
        worker: str,
        contents: dict[int, CompiledContent],
        provider: ProviderName,
        call_size: int,
        attempt: str,
        now: datetime,
    ) -> None:
        self._app, self._session, self._contents = app, session, contents
        self._provider, self._call_size, self._attempt = provider, call_size, attempt
        self._links = _unsubscribe_links(app)
        self._values = {
            "to_attempt": attempt,
            "to_worker": worker,
            "to_armed_at": now,
            "to_provider": provider.value,
        }

    def unreadable(self, content_id: int) -> str | None:
        """What is wrong with a content, stored when the rules for it were others; None: nothing is."""
        try:
            self._content(content_id)
        except InputError as e:
            return f"Its content cannot be sent any more: {e}"
        return None

    def campaign(self, candidate: Candidate, most: int, after: int) -> tuple[list[Armed], int]:
        """Of a campaign's rows beyond `after`, by keyset; with the last id that was looked at, 0 for none.
        Without the keyset PostgreSQL would walk the dead index entries of all earlier claims."""
        work, way = candidate.campaign, candidate.route
        assert work is not None
        assert way is not None
        wanted = {"of_campaign": work.campaign_id, "after": after, "most": most, "by": self._provider.value}
        rows = self._session.execute(_arm_campaign(self._session), {**wanted, **self._values}).all()
        if not rows:
            return [], 0
        rows = sorted(rows, key=lambda row: row.id)
        content = self._content(work.content_id)
        entries = self._entries(work, content, rows)
        parts = _parts(
            entries, self._call_size, len((content.subject + content.html + content.text).encode())
        )
        return [self._armed(work, way, content, part) for part in parts], rows[-1].id

    def transactional(self, tenant_id: int, most: int, fallback_from: str) -> list[Armed]:
        """One call for each; those that cannot go this way now wait."""
        found = self._session.execute(
            transactional_query(self._provider).limit(MOST_TRANSACTIONAL), {"tenant_id": tenant_id}
        )
        ways: dict[int, tuple[Work, Route]] = {}
        for work in found:
            if fault := self.unreadable(work.content_id):
                self._refuse(work.message_id, MessageStatus.FAILED, fault)
                continue
            way = route(work, fallback_from, campaign=False)
            if isinstance(way, Route) and way.provider == self._provider and len(ways) < most:
                ways[work.message_id] = (work, way)
        rows = self._session.execute(_IDS, {"of_ids": list(ways), "by": self._provider.value, **self._values})
        armed = []
        for row in sorted(rows, key=lambda row: row.id):
            work, way = ways[row.id]
            content = self._content(work.content_id)
            if entries := self._entries(work, content, [row]):
                armed.append(self._armed(work, way, content, entries))
        return armed

    def _entries(
        self, work: Work, content: CompiledContent, rows: Sequence[Recipient]
    ) -> list[tuple[int, BulkEntry]]:
        """The rows that may be written to; the others are given up, or wait no more."""
        suppressed = suppressions.suppressed_among(
            self._session, work.tenant_id, [row.address_key for row in rows]
        )
        entries = []
        for row in rows:
            if listed := suppressed.get(row.address_key):
                self._refuse(row.id, MessageStatus.SUPPRESSED, suppressions.told(listed))
                continue
            link = self._links(work.tenant_id, row.id) if work.campaign_id is not None else None
            try:
                values = content.values(row.address, {UNSUBSCRIBE_FIELD: link, **row.fields})
            except MissingField as e:
                self._refuse(row.id, MessageStatus.FAILED, str(e))
                continue
            entry = BulkEntry(row.address, f"{row.id}-{self._attempt}", values, _headers(link))
            entries.append((row.id, entry))
        return entries

    def _refuse(self, message_id: int, status: MessageStatus, reason: str) -> None:
        self._session.execute(
            update(Message)
            .where(Message.id == message_id)
            .values(
                **never_sent(status, reason, SYSTEM.username),
                attempt=None,
                worker=None,
                armed_at=case((Message.resent_by.is_not(None), Message.armed_at), else_=null()),
                provider=ANY_WAY_AGAIN,
            )
        )

    def _armed(
        self, work: Work, way: Route, content: CompiledContent, part: Sequence[tuple[int, BulkEntry]]
    ) -> Armed:
        mail = BulkMail(
            from_address=way.from_address,
            subject=content.subject,
            html=content.html,
            text=content.text,
            entries=tuple(entry for _, entry in part),
            tenant_name=work.slug,
            configuration_set=work.configuration_set,
            tags=_tags(work),
            reply_to=way.reply_to,
            idempotency_key=part[0][1].msg_uid,
        )
        return Armed(work.campaign_id, tuple(message_id for message_id, _ in part), mail)

    def _content(self, content_id: int) -> CompiledContent:
        if content_id not in self._contents:
            if len(self._contents) > MOST_COMPILED:
                self._contents.clear()
            row = self._session.get_one(Content, content_id)
            self._contents[content_id] = compile_content(row.subject, row.html, row.text, row.fallbacks)
        return self._contents[content_id]


def _unsubscribe_links(app: App) -> Callable[[int, int], str | None]:
    """Tenant and message -> the link, for campaigns; None when the installation cannot be reached from
    outside."""
    if not app.settings.public_url:
        return lambda tenant_id, message_id: None
    key, page = app.secret_key(), f"{app.settings.public_url.rstrip('/')}/u/"
    return lambda tenant_id, message_id: page + suppressions.unsubscribe_token(key, tenant_id, message_id)


# Without the ORM's own work on every row: these run for everybody who is written to.
_M = Message.__table__.c
_PENDING = _M.status == MessageStatus.PENDING.value
# Sent again by a person's word although nobody knew what came of it: never by another way than before.
_BY_THIS_WAY = or_(_M.provider.is_(None), _M.provider == bindparam("by"))
_WAITING = (
    select(_M.id)
    .where(_M.campaign_id == bindparam("of_campaign"), _PENDING, _M.id > bindparam("after"), _BY_THIS_WAY)
    .order_by(_M.id)
    .limit(bindparam("most"))
)


def _arming(which: ColumnElement[bool], *further: ColumnElement[bool]) -> Any:
    return (
        update(Message.__table__)  # type: ignore[arg-type]  # a mapped class has a Table
        .where(which, *further)
        .values(
            status=MessageStatus.SENDING.value,
            attempt=bindparam("to_attempt"),
            worker=bindparam("to_worker"),
            armed_at=bindparam("to_armed_at"),
            provider=bindparam("to_provider"),
            reason=None,
        )
        .returning(_M.id, _M.address, _M.address_key, _M.fields)
    )


_ON_SQLITE = _arming(_M.id.in_(_WAITING))
# An array, or the planner reads the whole table; rows that somebody else holds are passed over.
_ON_POSTGRESQL = _arming(
    _M.id == any_(func.array(_WAITING.with_for_update(skip_locked=True).scalar_subquery()))
)
_IDS = _arming(_M.id.in_(bindparam("of_ids", expanding=True)), _PENDING, _BY_THIS_WAY)


def _arm_campaign(session: Session) -> Any:
    return _ON_SQLITE if session.get_bind().dialect.name == "sqlite" else _ON_POSTGRESQL


def _parts(
    entries: list[tuple[int, BulkEntry]], size: int, content_bytes: int
) -> Iterator[list[tuple[int, BulkEntry]]]:
    """Calls of at most `size` entries and MAX_CALL_BYTES."""
    part: list[tuple[int, BulkEntry]] = []
    weight = content_bytes
    for entry in entries:
        own = 200 + sum(map(len, entry[1].fields.values())) * LARGEST_CHARACTER
        if part and (len(part) == size or weight + own > MAX_CALL_BYTES):
            yield part
            part, weight = [], content_bytes
        part.append(entry)
        weight += own
    if part:
        yield part


def _headers(unsubscribe_link: str | None) -> dict[str, str]:
    """One-click unsubscribe (RFC 8058)."""
    if unsubscribe_link is None:
        return {}
    return {
        "List-Unsubscribe": f"<{unsubscribe_link}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def _tags(work: Work) -> dict[str, str]:
    """SES allows letters, digits, - and _ in a tag's value."""
    user = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "_" for c in work.created_by or "")
    return {"tenant": work.slug, "campaign": str(work.campaign_id or 0), "user": user or "unknown"}
