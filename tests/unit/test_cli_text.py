"""The command line: what DNS or SES answered cannot act on the terminal that shows it."""

from __future__ import annotations

import json

import pytest

from core.cli.operation import Answer, faults_as_sentences, show, table
from core.errors import Conflict

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x00\u202egpj.exe\rok"
VISIBLE = r"\x1b]0;owned\x07\x1b[2J\x9b31m\x00\u202egpj.exe\rok"


def test_text_is_shown_without_its_controls_but_with_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    show(Answer(None, f"one\n\t{EVIL}\ntwo"), as_json=False)
    assert capsys.readouterr().out == f"one\n\t{VISIBLE}\ntwo\n"


def test_so_is_an_export_line_by_line_whose_line_ends_stay(capsys: pytest.CaptureFixture[str]) -> None:
    show(Answer(None, iter(["a,b\r\n", f"{EVIL},c\r\n"])), as_json=False)
    assert capsys.readouterr().out == f"a,b\r\n{VISIBLE},c\r\n"


def test_so_is_a_fault_and_json_has_its_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), faults_as_sentences(as_json=True):
        raise Conflict(EVIL)
    said = capsys.readouterr()
    assert said.err == f"Error: {VISIBLE}\n"
    assert "\x1b" not in said.out
    assert json.loads(said.out) == {"error": EVIL}


def test_a_line_end_in_a_cell_begins_no_row() -> None:
    assert table(("NAME",), [("a\nb",)]) == "NAME\na\\nb"
