"""All commands of the command line alike, and what asking for help costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click

from core.cli import COMMANDS, main
from tests.simulators import ROOT


def every_command() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield from below(name, command)


def below(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for sub, further in command.commands.items():
        yield from below(f"{name} {sub}", further)


def test_every_command_has_json_and_says_what_it_does() -> None:
    for name, command in every_command():
        assert command.help, name
        assert "--json" in [option for parameter in command.params for option in parameter.opts], name


def test_help_needs_nothing_that_is_slow_to_import() -> None:
    slow = {"alembic", "boto3", "pandas", "sqlalchemy", "streamlit"}
    code = f"import core.cli, sys; sys.exit(', '.join({slow!r} & set(sys.modules)))"
    asked = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert asked.stderr.strip() == b""
