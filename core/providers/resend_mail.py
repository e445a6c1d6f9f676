"""Resend mail: what a send request carries and what its answer means. Pure; resend.py sends it.

Names of errors, limits of tags and the two arrays of a permissive batch: resend.com/docs, API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

import orjson

from core.providers.base import BulkEntry, BulkMail, EntryResult, Outcome
from core.providers.headers import forbidden, name_and_address, tag_value

_FIELD = re.compile(r"\{\{([A-Za-z0-9_]+)\}\}")
_KEY = re.compile(r"[!-~]{0,256}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")
_SPECIAL = re.compile(r'[][()<>@,:;".\\]')
_OUTCOMES = {
    "rate_limit_exceeded": Outcome.THROTTLED,
    "daily_quota_exceeded": Outcome.QUOTA,
    "monthly_quota_exceeded": Outcome.QUOTA,
    "missing_api_key": Outcome.CREDENTIALS,
    "restricted_api_key": Outcome.CREDENTIALS,
    "invalid_api_key": Outcome.CREDENTIALS,
    "validation_error": Outcome.REFUSED,
    "security_error": Outcome.REFUSED,
    # An address that is not the API's: the mail waits until a person corrects the setting.
    "not_found": Outcome.NOT_SENT,
    "method_not_allowed": Outcome.NOT_SENT,
    # Another mail went out under this key, or this one is under way.
    "invalid_idempotent_request": Outcome.UNKNOWN,
    "concurrent_idempotent_requests": Outcome.UNKNOWN,
}
# For names that are not in the table; every other status is UNKNOWN.
_OUTCOMES_BY_STATUS = {
    400: Outcome.REFUSED,
    401: Outcome.CREDENTIALS,
    403: Outcome.CREDENTIALS,
    404: Outcome.NOT_SENT,
    405: Outcome.NOT_SENT,
    413: Outcome.REFUSED,
    422: Outcome.REFUSED,
    429: Outcome.THROTTLED,
}
NO_ROOM = EntryResult(
    Outcome.NOT_SENT,
    code="no_room",
    reason="There was no room for it beside the others in one request to Resend; it goes with a next one",
)
_LOG_TELLS = "Resend's own log tells whether the mail went out."


@dataclass(frozen=True, slots=True)
class Answer:
    """`accepts`: Resend took the request and says what became of each mail."""

    results: list[EntryResult]
    accepts: bool = False


def why_not(mail: BulkMail) -> str:
    """Why this mail must not leave the house; empty when it may."""
    if not _KEY.fullmatch(mail.idempotency_key):
        return "The request's key is not one that Resend takes: 256 printable characters at most."
    return forbidden(mail)


def email(mail: BulkMail, entry: BulkEntry) -> dict[str, Any] | EntryResult:
    """One recipient's mail as POST /emails takes it, or why it is refused. Resend has no merge fields for
    content that travels with the request: they are filled in here, as SES fills them in."""
    try:
        parts = {
            "subject": _filled(mail.subject, entry.fields),
            "html": _filled(mail.html, entry.fields),
            "text": _filled(mail.text, entry.fields),
        }
    except KeyError as e:
        reason = (
            f"There is no value for {{{{{e.args[0]}}}}}. Give the recipient one, or the content a fallback."
        )
        return EntryResult(Outcome.REFUSED, code="missing_field", reason=reason)
    tags = {**mail.tags, "msg_uid": entry.msg_uid}
    optional = {
        **{name: part for name, part in parts.items() if part},
        "reply_to": mail.reply_to,
        "headers": entry.headers,
        "tags": [{"name": name, "value": tag_value(value)} for name, value in tags.items() if value],
    }
    return {
        "from": from_field(mail.from_address),
        "to": [entry.address],
        **{name: value for name, value in optional.items() if value},
    }


def batch(mail: BulkMail, most_bytes: int) -> tuple[list[bytes], list[EntryResult | None]]:
    """The mails of one request, each as JSON, and by entry what is known without asking; None: it is in the
    request. What has no room there waits for another; a first one is in it whatever its size."""
    wanted: list[bytes] = []
    known: list[EntryResult | None] = []
    size, is_full = 1, False  # the brackets: each mail comes with a comma, or the second of them
    for entry in mail.entries:
        made = NO_ROOM if is_full else email(mail, entry)
        if isinstance(made, EntryResult):
            known.append(made)
            continue
        written = orjson.dumps(made)
        is_full = bool(wanted) and size + len(written) + 1 > most_bytes
        known.append(NO_ROOM if is_full else None)
        if not is_full:
            wanted.append(written)
            size += len(written) + 1
    return wanted, known


def from_field(written: str) -> str:
    """`Name <address>` as Resend takes it: in Unicode, encoded words decoded, quoted where it must be."""
    name, address = name_and_address(written)
    if not name:
        return address
    name = _UNPRINTABLE.sub(" ", _decoded(name))
    if _SPECIAL.search(name):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"{name} <{address}>"


def read(status: int, body: bytes, count: int) -> Answer:
    """What an HTTP answer means for each of the `count` mails of its request."""
    value = _json(body)
    if 200 <= status < 300:
        results = _accepted(value, count)
        if results is None:
            return lost(f"HTTP {status}", count)
        return Answer(results, accepts=True)
    said = value if isinstance(value, dict) else {}
    name, message = str(said.get("name") or ""), str(said.get("message") or "")[:500]
    outcome = _outcome(status, name)
    if outcome is Outcome.UNKNOWN:
        return lost(name or f"HTTP {status}", count)
    reason = _reason(outcome, message or name or f"HTTP {status}")
    return Answer([EntryResult(outcome, code=name or str(status), reason=reason)] * count)


def lost(why: str, count: int) -> Answer:
    reason = f"Resend gave no answer that can be relied on ({why}). {_LOG_TELLS}"
    return Answer([EntryResult(Outcome.UNKNOWN, code=why, reason=reason)] * count)


def not_sent(why: str, host: str, count: int) -> Answer:
    reason = f"Resend does not answer at {host}. Is POSTYARD_RESEND_URL right, and is there a network?"
    return Answer([EntryResult(Outcome.NOT_SENT, code=why, reason=reason)] * count)


_REASONS = {
    Outcome.THROTTLED: "Resend asks to go slower: {said}",
    Outcome.QUOTA: "Resend's quota is used up: {said}",
    Outcome.CREDENTIALS: "Resend refused the API key: {said} Check POSTYARD_RESEND_API_KEY.",
    Outcome.NOT_SENT: "POSTYARD_RESEND_URL does not point at Resend's API: {said} Correct it.",
    Outcome.REFUSED: "Resend refused: {said}",
}


def _reason(outcome: Outcome, said: str) -> str:
    return _REASONS[outcome].format(said=said.rstrip(". ") + ".")


def _filled(part: str, fields: Mapping[str, str]) -> str:
    """A value is never looked into again."""
    return _FIELD.sub(lambda field: fields[field[1]], part)


def _decoded(name: str) -> str:
    if "=?" not in name:
        return name
    try:
        return str(make_header(decode_header(name)))
    except (HeaderParseError, LookupError, ValueError):
        return name  # somebody's name that only looks encoded


def _accepted(value: Any, count: int) -> list[EntryResult] | None:
    """The ids of what was taken, in order, and by position what was refused; None when they do not add up."""
    if not isinstance(value, dict):
        return None
    rows, faults = value.get("data", [value]), value.get("errors") or []
    if not isinstance(rows, list) or not isinstance(faults, list):
        return None
    ids = [row.get("id") if isinstance(row, dict) else None for row in rows]
    refused = dict(_fault(fault) for fault in faults)
    if len(ids) + len(refused) != count or not refused.keys() <= set(range(count)):
        return None
    if not all(isinstance(number, str) and number for number in ids):
        return None
    left = iter(ids)
    return [
        _refused(refused[at]) if at in refused else EntryResult(Outcome.ACCEPTED, next(left))
        for at in range(count)
    ]


def _fault(fault: Any) -> tuple[int, str]:
    """(position, message); position -1 when it cannot be read."""
    if not isinstance(fault, dict) or not isinstance(fault.get("index"), int):
        return -1, ""
    return fault["index"], str(fault.get("message") or "")[:500]


def _refused(message: str) -> EntryResult:
    reason = _reason(Outcome.REFUSED, message or "it does not say why")
    return EntryResult(Outcome.REFUSED, code="validation_error", reason=reason)


def _outcome(status: int, name: str) -> Outcome:
    if status >= 500:
        return Outcome.UNKNOWN
    if 300 <= status < 400:
        return Outcome.NOT_SENT
    return _OUTCOMES.get(name) or _OUTCOMES_BY_STATUS.get(status, Outcome.UNKNOWN)


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
