"""What all cases send: 7 kB of HTML with nine links, a text part, three merge fields."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from core.app import App
from core.content import compile_content
from core.providers.base import BulkEntry, BulkMail
from core.suppressions import unsubscribe_token

SUBJECT = "{{first_name}}, new arrivals in {{city}}"
_OFFERS = "".join(
    f'<tr><td style="padding:12px 24px"><a href="https://shop.acme-mail.io/offers/{number}?from=mail">'
    f"Offer {number}</a> {'Something good to read about it. ' * 22}</td></tr>\n"
    for number in range(1, 9)
)
HTML = (
    '<!doctype html><html><body><table role="presentation" width="600">\n'
    "<tr><td><h1>Dear {{first_name}},</h1><p>your points: {{points}}. New in {{city}}:</p></td></tr>\n"
    f"{_OFFERS}"
    '<tr><td><a href="https://shop.acme-mail.io/terms">Terms</a></td></tr></table></body></html>'
)
TEXT = (
    "Dear {{first_name}}, your points: {{points}}. This is new in {{city}}:\n\n"
    + "Something good to read about it.\n" * 20
)
CITIES = ("Bern", "Graz", "Lyon", "Porto", "Turku")


def address(number: int) -> str:
    return f"person{number}@example.com"


def fields(number: int) -> dict[str, str]:
    city = CITIES[number % len(CITIES)]
    return {"first_name": f"Name {number}", "city": city, "points": str(number % 1000)}


def rendered(number: int) -> tuple[str, str, str]:
    """Subject, HTML and text with the fields filled in, as an application does that sends mail one by one."""
    parts = []
    for part in (SUBJECT, HTML, TEXT):
        for name, value in fields(number).items():
            part = part.replace("{{" + name + "}}", value)
        parts.append(part)
    return parts[0], parts[1], parts[2]


def bulk_mails(app: App, recipients: int, size: int = 50) -> Iterator[BulkMail]:
    """What the pipeline hands its provider for so many recipients, made without a database."""
    content = compile_content(SUBJECT, HTML, TEXT, {})
    attempt = f"{time.monotonic_ns():016x}"
    for first in range(1, recipients + 1, size):
        numbers = range(first, min(first + size, recipients + 1))
        yield BulkMail(
            from_address='"Acme Retail" <news@acme-mail.io>',
            subject=content.subject,
            html=content.html,
            text=content.text,
            entries=tuple(_entry(app, content, number, attempt) for number in numbers),
            tenant_name="acme",
            configuration_set="postyard-acme",
            tags={"tenant": "acme", "campaign": "1", "user": "bench"},
        )


def _entry(app: App, content: Any, number: int, attempt: str) -> BulkEntry:
    link = f"{app.settings.public_url}/u/{unsubscribe_token(app.secret_key(), 1, number)}"
    headers = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    values = content.values(address(number), {"unsubscribe_url": link, **fields(number)})
    return BulkEntry(address(number), f"{number}-{attempt}", values, headers)
