"""What people read of an alert, and what strangers' words in it cannot do."""

from __future__ import annotations

import ast
import importlib
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from core.alerts import PAGE_OF
from core.notices import text
from core.notices.delivery import MOST_AT_ONCE, retry_at
from core.notices.text import Told

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVIL = (
    "<!channel> <http://evil.example|Acme> @here www.evil.example ![x](https://evil.example/p.png) & "
    "\u202ebad\r\nBcc: v@example.com"
)
CONSOLE = "https://console.postyard.io/"


def told(**changed: object) -> Told:
    values: dict[str, object] = {
        "news": "raised", "kind": "domain broken", "sentence": "DKIM is gone.", "tenant": "Acme Retail",
        "slug": "acme", "zone": "Asia/Singapore", "raised_at": AT, "cleared_at": None,
    }  # fmt: skip
    return Told(**(values | changed))  # type: ignore[arg-type]


def test_an_alert_is_one_sentence_with_its_tenant_its_time_and_where_to_look() -> None:
    assert text.subject([told()]) == "[Postyard] Acme Retail: domain broken"
    assert text.plain([told()], CONSOLE) == (
        "Acme Retail: DKIM is gone.\n"
        "Since 1 Mar 2026, 20:00 (Asia/Singapore).\n"
        "https://console.postyard.io/senders?tenant=acme"
    )
    over = told(news="cleared", cleared_at=AT.replace(hour=13))
    assert text.subject([over]) == "[Postyard] Over: Acme Retail: domain broken"
    assert text.plain([over], "").splitlines() == [
        "Over: Acme Retail: DKIM is gone.",
        "From 1 Mar 2026, 20:00 to 1 Mar 2026, 21:00 (Asia/Singapore).",
    ]


def test_many_alerts_are_one_message() -> None:
    many = [told(), told(kind="quota", sentence="It is used up.", tenant="", slug="", zone="UTC")]
    assert text.subject(many) == "[Postyard] 2 alerts"
    assert (
        "It is used up.\nSince 1 Mar 2026, 12:00 (UTC).\nhttps://console.postyard.io/accounts"
        in text.plain(many, CONSOLE)
    )


def test_an_alert_of_an_unknown_kind_leads_to_the_alerts() -> None:
    assert text.page(told(kind="new kind"), CONSOLE) == "https://console.postyard.io/alerts?tenant=acme"


def test_in_a_chat_nothing_strangers_wrote_is_a_link_a_mention_or_a_picture() -> None:
    body = text.slack([told(sentence=EVIL, tenant=EVIL)], CONSOLE)
    said = body["text"]
    assert said.count("<") == said.count(">") == 1, "our own link alone"
    assert "<https://console.postyard.io/senders?tenant=acme>" in said
    for sign in ("@here", "@e", "http://", "https://evil", "www.evil", "](", "\u202e", "\r"):
        assert sign not in said
    assert said.count("\n") == 2
    assert "&lt;!channel&gt;" in said
    assert "&amp;" in said
    assert (body["mrkdwn"], body["link_names"], body["unfurl_links"]) == (False, 0, False)
    assert json.loads(json.dumps(body)) == body


def test_in_a_mail_they_cannot_begin_a_line_or_a_header() -> None:
    one = told(sentence=EVIL, tenant=EVIL, kind="domain broken")
    assert "\n" not in text.subject([one]) + text.head(one)
    assert "\u202e" not in text.plain([one], CONSOLE)
    longest = [told(sentence="x" * 5000, tenant="y" * 500)] * MOST_AT_ONCE
    assert len(text.slack(longest, CONSOLE)["text"]) < 16_000, "as much as Mattermost takes"


@pytest.mark.parametrize("page", sorted(set(PAGE_OF.values())))
def test_each_kind_leads_to_a_page_of_the_console(page: str) -> None:
    assert (ROOT / "pages" / f"{page}.py").exists()
    assert f'"{page}"' in (ROOT / "Home.py").read_text(encoding="utf-8")


def kinds_raised() -> Iterator[tuple[str, str]]:
    """Of every raise_once in the core: the file, and the kind it raises."""
    for path in sorted((ROOT / "core").rglob("*.py")):
        calls = [
            node
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
        ]
        for call in calls:
            if not ast.unparse(call.func).endswith("raise_once"):
                continue
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            known = vars(importlib.import_module(name))
            for keyword in call.keywords:
                if keyword.arg in ("kind", None):
                    with suppress(NameError):  # a variable of the function
                        value = eval(ast.unparse(keyword.value), dict(known))  # noqa: S307  of our own source
                        yield name, value if isinstance(value, str) else value["kind"]


def test_each_kind_that_is_raised_has_its_page() -> None:
    raised = list(kinds_raised())
    assert len(raised) >= 12
    assert [(module, kind) for module, kind in raised if kind not in PAGE_OF] == []


def test_pauses_between_tries_double_up_to_six_hours_and_end_after_a_day() -> None:
    now, pauses = AT, []
    for tries in range(1, 30):
        again = retry_at(AT, tries, now)
        if again is None:
            break
        pauses.append((again - now).total_seconds() / 60)
        now = again
    assert pauses[:10] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 360]
    assert sum(pauses) == 24 * 60
    assert len(pauses) == 12
