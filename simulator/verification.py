"""What SES finds in a domain's DNS from time to time: Easy DKIM's three CNAMEs, the older TXT record at
_amazonses, and the MAIL FROM domain's records. For each it looks 72 hours and then gives up."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from simulator.settings import ACCOUNT_ID, SIGNING_HOSTED_ZONE
from simulator.state import Identity, MailFrom

if TYPE_CHECKING:
    from simulator.world import World

NOT_STARTED = "NOT_STARTED"
PENDING = "PENDING"
SUCCESS = "SUCCESS"
TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
FAILED = "FAILED"
WATCHED_SECONDS = 72 * 3600
UNANSWERED = "DNS_SERVER_ERROR"
_BEST_FIRST = (SUCCESS, TEMPORARY_FAILURE, PENDING, FAILED, NOT_STARTED)
_FEEDBACK_HOST = re.compile(r"\d+ feedback-smtp\.[a-z0-9-]+\.amazonses\.com\.", re.IGNORECASE)


def check(world: World, row: Identity) -> None:
    before = _outcome(row)
    if row.type == "DOMAIN":
        _check_domain(world, row)
    if row.mail_from and row.mail_from.status != FAILED:
        _check_mail_from(world, row.mail_from)
    if before != _outcome(row):
        world.identities.put(row.name, row)


def check_all(world: World) -> None:
    for row in world.identities:
        check(world, row)


def _outcome(row: Identity) -> tuple[object, ...]:
    mail_from = row.mail_from and row.mail_from.status
    return row.status, row.dkim_status, row.text_status, row.error_type, mail_from


def token_of(domain: str) -> str:
    """Of the older TXT record; the same for a domain whenever it is asked for."""
    return base64.b64encode(hashlib.sha256(f"{ACCOUNT_ID} {domain}".encode()).digest()).decode()


def _check_domain(world: World, row: Identity) -> None:
    now = world.clock.now()
    by_dkim = row.dkim_status not in (FAILED, NOT_STARTED)
    by_text = row.text_status not in (FAILED, NOT_STARTED)
    if not by_dkim and not by_text:
        return
    error = dkim_error(world, row) if by_dkim else None
    if by_dkim:
        right = None if error == UNANSWERED else error is None
        row.dkim_status, row.watched_from = _next(row.dkim_status, row.watched_from, right, now)
    if by_text:
        text_error = _text_error(world, row)
        right = None if text_error == UNANSWERED else text_error is None
        row.text_status, row.text_watched_from = _next(row.text_status, row.text_watched_from, right, now)
        error = text_error if text_error is None or not by_dkim else error
    row.status = min((row.dkim_status, row.text_status), key=_BEST_FIRST.index)
    row.error_type, row.checked_at = error, now
    if error is None:
        row.succeeded_at = now


def _next(status: str, watched_from: float, right: bool | None, now: float) -> tuple[str, float]:
    """Status and beginning of the watch after a look; None: nobody can tell, so what was found holds."""
    if right:
        return SUCCESS, watched_from
    if status == SUCCESS:
        return (SUCCESS, watched_from) if right is None else (TEMPORARY_FAILURE, now)
    return (FAILED if now - watched_from > WATCHED_SECONDS else status), watched_from


def dkim_error(world: World, row: Identity) -> str | None:
    """None when all three CNAMEs are right, else SES's ErrorType for the first that is not."""
    for token in row.tokens:
        name = f"{token}._domainkey.{row.name}"
        if world.dns_faults.unanswered(name, "CNAME"):
            return UNANSWERED
        values = [value.rstrip(".").lower() for value in world.zone.values(name, "CNAME")]
        if values == [f"{token}.{SIGNING_HOSTED_ZONE}"]:
            continue
        if values:
            return "INVALID_VALUE"
        return "TYPE_NOT_FOUND" if world.zone.types_at(name) else "HOST_NOT_FOUND"
    return None


def _text_error(world: World, row: Identity) -> str | None:
    name = f"_amazonses.{row.name}"
    texts = _texts(world, name)
    if texts is None:
        return UNANSWERED
    if token_of(row.name) in texts:
        return None
    if texts:
        return "INVALID_VALUE"
    return "TYPE_NOT_FOUND" if world.zone.types_at(name) else "HOST_NOT_FOUND"


def _texts(world: World, name: str) -> list[str] | None:
    """TXT records with their strings put together; None: no answer."""
    if world.dns_faults.unanswered(name, "TXT"):
        return None
    return [value.replace('" "', "").strip('"') for value in world.zone.values(name, "TXT")]


def _check_mail_from(world: World, mail_from: MailFrom) -> None:
    now = world.clock.now()
    exchanges = world.zone.values(mail_from.domain, "MX")
    texts = _texts(world, mail_from.domain)
    if texts is None or world.dns_faults.unanswered(mail_from.domain, "MX"):
        right = None
    elif len(exchanges) > 1 and mail_from.status == PENDING:
        mail_from.status = FAILED  # "multiple MX records: the custom MAIL FROM setup will fail" (SES's guide)
        return
    else:
        right = (
            len(exchanges) == 1
            and _FEEDBACK_HOST.fullmatch(exchanges[0]) is not None
            and any(text.startswith("v=spf1 ") and "include:amazonses.com" in text for text in texts)
        )
    mail_from.status, mail_from.watched_from = _next(mail_from.status, mail_from.watched_from, right, now)
