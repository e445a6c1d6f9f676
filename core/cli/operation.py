"""What every command shares: the app, who acts, --json, and a fault shown as one sentence."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, cast

import click
import orjson

from core import access, logs
from core.access import Actor
from core.app import App, build_app
from core.db import migrate
from core.db.engine import AWAY
from core.errors import ConfigurationError, InputError, PostyardError
from core.plain import visible, visible_lines
from core.recipients import Rejection

P = ParamSpec("P")

SHOWN_REJECTIONS = 20
REFUSED = 1  # the sentence says what a person can do
NOT_INSTALLED = 2  # settings, database or usage


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` is what --json prints, or makes it; `text` is what a person reads, whole or line by line."""

    value: Any
    text: str | Iterable[str]
    ok: bool = True


def operation(command: Callable[Concatenate[App, Actor, P], Answer]) -> Callable[P, None]:
    """A command on a migrated database, done by whoever runs it as an administrator."""

    @functools.wraps(command)
    def on_database(as_json: bool, /, *given: P.args, **named: P.kwargs) -> Answer:
        with opened() as app:
            return show(command(app, me(), *given, **named), as_json=as_json)

    return _with_json(on_database)


def answering(command: Callable[P, Answer]) -> Callable[P, None]:
    """A command that opens what it needs itself."""

    @functools.wraps(command)
    def alone(as_json: bool, /, *given: P.args, **named: P.kwargs) -> Answer:
        return show(command(*given, **named), as_json=as_json)

    return _with_json(alone)


def _with_json(command: Callable[Concatenate[bool, P], Answer]) -> Callable[P, None]:
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def run(*given: Any, as_json: bool, **named: Any) -> None:
        with faults_as_sentences(as_json):
            answer = command(as_json, *given, **named)
        if not answer.ok:
            sys.exit(REFUSED)

    return cast("Callable[P, None]", run)


@contextmanager
def opened() -> Iterator[App]:
    """The app on a database that answers and is migrated, or ConfigurationError."""
    logs.to_stderr("WARNING")
    app = build_app()
    app.db.check()
    migrate.check(app.db)
    try:
        yield app
    finally:
        app.db.dispose()


def me() -> Actor:
    """Whoever is logged in on this host; a container's user may have no name."""
    try:
        return access.command_line(getpass.getuser())
    except (KeyError, OSError):
        return access.command_line(f"uid {os.getuid()}")


@contextmanager
def faults_as_sentences(as_json: bool) -> Iterator[None]:
    """Ends the process: the sentence on stderr, with --json also {"error": …} on stdout."""
    try:
        yield
    except PostyardError as e:
        _end(str(e), REFUSED, as_json)
    except ConfigurationError as e:
        _end(str(e), NOT_INSTALLED, as_json)
    except AWAY as e:
        _end(f"The database stopped answering ({e.orig}). Run: postyard doctor", NOT_INSTALLED, as_json)


def _end(sentence: str, code: int, as_json: bool) -> None:
    click.echo(f"Error: {visible_lines(sentence)}", err=True)
    if as_json:
        show(Answer({"error": sentence}, ""), as_json=True)
    sys.exit(code)


def show(answer: Answer, *, as_json: bool) -> Answer:
    if as_json:
        value = answer.value() if callable(answer.value) else answer.value
        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    elif isinstance(answer.text, str):
        click.echo(visible_lines(answer.text))
    else:
        for piece in answer.text:
            click.echo(visible_lines(piece), nl=False)
    return answer


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as they must be; a line that says so when there is nothing."""
    if not rows:
        return "Nothing here yet."
    shown = [list(headers), *([visible("-" if cell is None else str(cell)) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in shown) for column in range(len(headers))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in shown
    )


def rejections_json(rejected: Sequence[Rejection]) -> list[dict[str, Any]]:
    return [{"line": r.line, "value": r.value, "reason": r.reason} for r in rejected]


def rejections_text(head: str, rejected: Sequence[Rejection]) -> str:
    """The head, and below it the first rows that were left out."""
    lines = [head, *(f"  line {r.line}: {r.reason} ({r.value})" for r in rejected[:SHOWN_REJECTIONS])]
    if len(rejected) > SHOWN_REJECTIONS:
        lines.append(f"  and {len(rejected) - SHOWN_REJECTIONS} more: --json lists them all")
    return "\n".join(lines)


def read_text(path: Path | None) -> str:
    """A file as UTF-8, or "" for none."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(f"{path} is not UTF-8. Save it as UTF-8 and try again.") from e
    except OSError as e:
        raise InputError(f"Cannot read {path} ({e.strerror}).") from e


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`name=value` options as a dictionary."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise InputError(f"{option} takes NAME=VALUE, not {text!r}.", option)
        found[name.strip()] = value.strip()
    return found


file_argument = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
