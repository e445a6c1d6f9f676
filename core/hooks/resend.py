"""Resend's webhooks: signed as Standard Webhooks are, under the names of Svix, who delivers them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from core.app import App
from core.events import ingest
from core.hooks.answers import Done, Never, done
from core.providers.resend_events import parse
from core.providers.ses_events import UnreadableEvent

MAX_ID = 256
_HEADERS = {
    "webhook-id": "svix-id",
    "webhook-timestamp": "svix-timestamp",
    "webhook-signature": "svix-signature",
}

logger = logging.getLogger(__name__)


def receive(app: App, headers: Mapping[str, str], body: bytes) -> Done:
    """One request of Resend; `headers` by lower-case name, `body` as it came: parsed and written again it has
    another signature. Raises Never, or the database's own error when it is away."""
    secret = app.settings.resend_webhook_secret
    if secret is None:
        raise Never("not set up", 404)
    webhook_id = _verified(secret.get_secret_value(), headers, body)
    text = body.decode()
    try:
        events = parse(text, webhook_id)
    except UnreadableEvent as e:
        logger.warning("a webhook of Resend is not readable: %s", e)
        ingest(app, None, [], [text])
        return Done.PARKED
    return done(ingest(app, None, events)) if events else Done.IGNORED


def _verified(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    """Its id. Not older or newer than five minutes, so that it cannot be played back later; within them its
    id makes it the same event."""
    signed = {ours: headers.get(theirs, "") for ours, theirs in _HEADERS.items()}
    webhook_id = signed["webhook-id"]
    if not all(signed.values()) or len(webhook_id) > MAX_ID:
        raise Never("unsigned")
    try:
        Webhook(secret).verify(body, signed, json_parse=False)
    except (WebhookVerificationError, ValueError) as e:  # what is no base64 or UTF-8 is a ValueError
        raise Never("signature") from e
    return webhook_id
