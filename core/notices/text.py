"""Text: what people read of an alert. Pure.

Sentences hold what strangers wrote (names of domains, answers of servers): in a mail they are plain text, in
a chat nothing in them becomes a link, a mention or a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from core.alerts import PAGE_OF, News
from core.plain import visible
from core.tenants.limits import zone_of

LONGEST_SENTENCE = 500
INVISIBLE = "\u2060"  # word joiner: parts what a chat would take for a sign, and cannot be seen
TEST = "This is a test: alerts of Postyard arrive here."


@dataclass(frozen=True, slots=True)
class Told:
    """One alert, raised or cleared."""

    news: str
    kind: str
    sentence: str
    tenant: str  # its name; "" for the installation itself
    slug: str
    zone: str
    raised_at: datetime
    cleared_at: datetime | None


def subject(told: Sequence[Told]) -> str:
    if len(told) > 1:
        return f"[Postyard] {len(told)} alerts"
    [one] = told
    over = "Over: " if one.news == News.CLEARED else ""
    return _short(f"[Postyard] {over}{_about(one)}{one.kind}", 200)


def plain(told: Sequence[Told], console_url: str) -> str:
    return "\n\n".join(
        "\n".join(line for line in (head(one), _when(one), page(one, console_url)) if line) for one in told
    )


def slack(told: Sequence[Told], console_url: str) -> dict[str, Any]:
    """What Slack's incoming webhooks take, and Mattermost's, Rocket.Chat's and Discord's (/slack)."""
    parts = []
    for one in told:
        lines = [inert(head(one)), inert(_when(one))]
        if link := page(one, console_url):
            lines.append(f"<{link}>")
        parts.append("\n".join(lines))
    return message("\n\n".join(parts))


def message(text: str) -> dict[str, Any]:
    return {"text": text, "mrkdwn": False, "link_names": 0, "unfurl_links": False, "unfurl_media": False}


def inert(text: str) -> str:
    """Slack's own three signs escaped (docs.slack.dev, Formatting message text), and what makes a mention, a
    link or a picture elsewhere taken apart."""
    text = visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign, apart in (
        ("@", "@" + INVISIBLE),
        ("://", ":" + INVISIBLE + "//"),
        ("](", "]" + INVISIBLE + "("),
    ):
        text = text.replace(sign, apart)
    return text.replace("www.", "www" + INVISIBLE + ".")


def head(one: Told) -> str:
    over = "Over: " if one.news == News.CLEARED else ""
    return f"{over}{_about(one)}{_short(visible(one.sentence), LONGEST_SENTENCE)}"


def page(one: Told, console_url: str) -> str:
    """The console's page that helps; "" where nobody knows where the console is."""
    if not console_url:
        return ""
    address = f"{console_url.rstrip('/')}/{PAGE_OF.get(one.kind, 'admin/alerts').rpartition('/')[2]}"
    return f"{address}?{urlencode({'tenant': one.slug})}" if one.slug else address


def _about(one: Told) -> str:
    return f"{_short(visible(one.tenant), 100)}: " if one.tenant else ""


def _when(one: Told) -> str:
    """A raised one may have cleared before it could be told."""
    since = _moment(one.raised_at, one.zone)
    if one.cleared_at is None:
        return f"Since {since} ({one.zone})."
    return f"From {since} to {_moment(one.cleared_at, one.zone)} ({one.zone})."


def _moment(at: datetime, zone: str) -> str:
    there = at.astimezone(zone_of(zone))
    return f"{there.day} {there:%b %Y, %H:%M}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
