"""Words and numbers of the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pages._ui import format

NOW = datetime(2026, 11, 22, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("Acme Retail (demo)", "Acme Retail (demo)"),
        ("Paused by maria: 5 % bounced.", "Paused by maria: 5 % bounced."),
        ("*bold* _it_ `code`", r"\*bold\* \_it\_ \`code\`"),
        ("[a](x) ![b](y) <b>", r"\[a\](x) !\[b\](y) \<b\>"),
        (":red[x] :material/home: $x$", r"\:red\[x\] \:material/home: \$x\$"),
        ("write to a@example.com, please", "write to `a@example.com`, please"),
        ("see https://example.com/`x`.", "see `https://example.com/x`."),
        ("www.example.com", "`www.example.com`"),
        ("# not a heading", r"\# not a heading"),
        ("- not a list", r"\- not a list"),
        ("1. not a list", r"1\. not a list"),
        ("one\n\n# two", "one # two"),
        ("    not code", "not code"),
    ],
)
def test_text_is_shown_as_it_is_and_nothing_in_it_is_markdown(value: str, shown: str) -> None:
    assert format.escape(value) == shown


def test_a_badge_is_text_after_streamlit_has_escaped_its_brackets_once_more() -> None:
    shown = format.escape_badge(r"[a](x) \[b] :red[c] *d*").replace("[", r"\[").replace("]", r"\]")
    assert shown == r"\[a\](x) \\\[b\] \:red\[c\] \*d\*"


@pytest.mark.parametrize(
    ("rate", "shown"), [(0.0184, "1.84 %"), (0.0, "0.00 %"), (1.0, "100.00 %"), (None, "–")]
)
def test_rates_are_percents_and_nothing_is_a_dash(rate: float | None, shown: str) -> None:
    assert format.rate(rate) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "just now"),
        (59, "59 s ago"),
        (61, "1 min ago"),
        (7300, "2 h ago"),
        (90_000, "1 d ago"),
        (-90, "in 1 min"),
    ],
)
def test_times_are_told_in_their_largest_unit(seconds: int, shown: str) -> None:
    assert format.ago(NOW - timedelta(seconds=seconds), NOW) == shown


def test_moments_are_told_in_the_zone() -> None:
    assert format.moment(NOW, "Asia/Singapore") == "22 Nov 2026, 14:30"
    assert format.moment(None) == "–"
    assert format.local(NOW, "Asia/Singapore").tzinfo is None


def test_every_status_of_one_label_has_one_colour() -> None:
    colours: dict[str, set[str]] = {}
    for status in format.all_statuses():
        colours.setdefault(status.label, set()).add(status.color)
    assert {label: found for label, found in colours.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("number", "shown"), [(0, "0 days"), (1, "1 day"), (1200, "1,200 days")])
def test_nouns_follow_their_number(number: int, shown: str) -> None:
    assert format.plural(number, "day") == shown
