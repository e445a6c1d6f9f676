"""Unsubscribing: the signed link in a mail, and what it does."""

from __future__ import annotations

import base64
import binascii
import hmac
import struct

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from core.app import App
from core.db.models import Message
from core.db.states import SuppressionReason
from core.errors import NotFound
from core.suppressions.entries import Provenance, suppress

_TOKEN = struct.Struct(">IQ")
_SIGNATURE_BYTES = 15  # with the numbers 27 bytes: 36 characters, no padding


def unsubscribe_token(key: bytes, tenant_id: int, message_id: int) -> str:
    """36 characters fit for an address: which message, signed. `key`: app.secret_key()."""
    numbers = _TOKEN.pack(tenant_id, message_id)
    signature = hmac.digest(key, b"unsubscribe" + numbers, "sha256")[:_SIGNATURE_BYTES]
    return base64.urlsafe_b64encode(numbers + signature).decode()


def address_of(app: App, token: str) -> str:
    """Whom the token's message was sent to; changes nothing. Raises NotFound as `unsubscribe` does."""
    numbers = _read_token(app.secret_key(), token)
    with app.db.read() as session:
        return str(_message_of(session, *numbers).address)


def unsubscribe(app: App, token: str) -> None:
    """The recipient of the token's message wants no more mail of its tenant; twice is the same as once.
    Raises NotFound for a token that Postyard did not make."""
    numbers = _read_token(app.secret_key(), token)  # first: anybody may post here, and there is one writer
    with app.db.begin() as session:
        message = _message_of(session, *numbers)
        why = Provenance(
            SuppressionReason.UNSUBSCRIBE, "unsubscribe", "recipient", campaign_id=message.campaign_id
        )
        suppress(session, message.tenant_id, {message.address_key: why}, app.now())


def _message_of(session: Session, tenant_id: int, message_id: int) -> Row[int, int | None, str, str]:
    query = select(Message.tenant_id, Message.campaign_id, Message.address, Message.address_key).where(
        Message.id == message_id, Message.tenant_id == tenant_id
    )
    if message := session.execute(query).one_or_none():
        return message
    raise _no_such_link()


def _read_token(key: bytes, token: str) -> tuple[int, int]:
    try:
        tenant_id, message_id = _TOKEN.unpack(base64.urlsafe_b64decode(token)[: _TOKEN.size])
    except (binascii.Error, struct.error, ValueError) as e:
        raise _no_such_link() from e
    expected = unsubscribe_token(key, tenant_id, message_id)
    if not hmac.compare_digest(token.encode(), expected.encode()):
        raise _no_such_link()
    return tenant_id, message_id


def _no_such_link() -> NotFound:
    return NotFound("This unsubscribe link is not valid. Use the link in the mail as it is.")
