"""Plain: what a database, a terminal or a reader would stumble over becomes visible."""

from __future__ import annotations

import pytest

from core.plain import visible, visible_lines


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a\x00b", r"a\x00b"),
        ("\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
        ("\x9b2J", r"\x9b2J"),
        ("\x7f", r"\x7f"),
        ("\u202egpj.exe", r"\u202egpj.exe"),
        ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
        ("\udcff", r"\udcff"),
        ("Zoë, 日本語, ‰", "Zoë, 日本語, ‰"),
    ],
)
def test_what_acts_becomes_visible(hostile: str, shown: str) -> None:
    assert visible(hostile) == visible_lines(hostile) == shown


def test_only_text_of_many_lines_keeps_its_layout() -> None:
    assert visible("a\tb\r\nc\rd") == r"a\tb\r\nc\rd"
    assert visible_lines("a\tb\r\nc\rd") == "a\tb\r\nc\\rd"
