"""Campaigns for tests: a list, a start, and running the sender and the ingest until nothing is left."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence

from core import access, campaigns, events, sending
from core.app import App
from core.campaigns import CampaignView

HTML = (
    "<p>Dear {{first_name}},</p><p>our winter prices are in. "
    '<a href="https://shop.acme-mail.io/?who={{email}}">Look</a></p>'
)
TEXT = "Dear {{first_name}}, our winter prices are in."
SUBJECT = "News for {{first_name}}"


def addresses(count: int, domain: str = "example.com") -> list[str]:
    return [f"person{number:05d}@{domain}" for number in range(count)]


def csv_of(people: Sequence[str]) -> bytes:
    rows = [f"{address},Name {number}" for number, address in enumerate(people)]
    return "\n".join(["email,first_name", *rows]).encode()


def draft(app: App, tenant_id: int, sender_id: int, people: Sequence[str], name: str = "Winter") -> int:
    return campaigns.create(
        app,
        access.SYSTEM,
        tenant_id,
        name=name,
        sender_id=sender_id,
        subject=SUBJECT,
        html=HTML,
        text=TEXT,
        csv=csv_of(people),
        filename="people.csv",
    ).campaign_id


def started(app: App, tenant_id: int, sender_id: int, people: Sequence[str], name: str = "Winter") -> int:
    campaign_id = draft(app, tenant_id, sender_id, people, name)
    campaigns.start(app, access.SYSTEM, tenant_id, campaign_id)
    return campaign_id


def send_until_idle(app: App) -> None:
    sending.work(app, threading.Event(), until_idle=True)


def ingest_until_idle(app: App) -> None:
    events.poll(app, threading.Event(), until_idle=True)


def counts(app: App, tenant_id: int, campaign_id: int) -> dict[str, int]:
    """The states that somebody is in."""
    return {state: n for state, n in view(app, tenant_id, campaign_id).counts.items() if n}


def view(app: App, tenant_id: int, campaign_id: int) -> CampaignView:
    return campaigns.status(app, access.SYSTEM, tenant_id, campaign_id)


def written_to(messages: list[dict[str, object]]) -> Counter[str]:
    """How often SES accepted mail to each address."""
    return Counter(str(message["to"]) for message in messages)
