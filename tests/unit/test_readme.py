"""What the README says is there."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
from pydantic import SecretStr

from core.cli import main
from core.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
TEXTS = {"README.md": README, **DOCS}


def rows_of_settings() -> dict[str, tuple[str, str]]:
    found = re.findall(rf"^\| `({PREFIX}[A-Z_0-9]+)` \| (.*?) ?\| (.+) \|$", README, re.MULTILINE)
    return {name: (default, text) for name, default, text in found}


def shown_default(default: object) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    return "" if default in (None, "") else f"`{default}`"


def test_the_table_of_settings_is_the_settings() -> None:
    expected = {
        PREFIX + name.upper(): (shown_default(field.default), field.description)
        for name, field in Settings.model_fields.items()
    }

    assert rows_of_settings() == expected


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_command_that_is_named_exists(name: str) -> None:
    context = click.Context(main)
    for first, second in re.findall(
        r"\bpostyard ([a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?", commands_in(TEXTS[name])
    ):
        command = main.get_command(context, first)
        assert command is not None, f"postyard {first}"
        if isinstance(command, click.Group):
            assert second in command.commands, f"postyard {first} {second}"


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_option_that_is_named_exists(name: str) -> None:
    for line in re.findall(r"\bpostyard ([a-z].*)", commands_in(TEXTS[name]).replace("\\\n", " ")):
        command: click.Command | None = main
        for word in line.split():
            if isinstance(command, click.Group):
                command = command.get_command(click.Context(command), word)
        assert command is not None, line
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        assert set(re.findall(r"(?<=\s)--[a-z-]+", line.split(" | ")[0])) <= known, line


def commands_in(text: str) -> str:
    """Code blocks and inline code: prose may say what Postyard, the program, does."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return "\n".join([*blocks, *inline])


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_make_target_that_is_named_exists(name: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", TEXTS[name], re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_file_that_is_named_exists(name: str) -> None:
    pattern = r"`((?:core|pages|tests|simulator|docs|bench)/[\w/.]+)`|\]\(((?!http)[\w/.]+)\)"
    folder = ROOT if name == "README.md" else ROOT / "docs"

    for in_code, linked in re.findall(pattern, TEXTS[name]):
        assert (ROOT / in_code if in_code else folder / linked).exists(), in_code or linked


def test_what_is_where_names_what_is_there() -> None:
    tree = README.split("## What is where")[1].split("```")[1].replace("<section>/", "")
    for line in tree.strip("\n").splitlines():
        folder = ROOT / "core" if line.startswith("  ") else ROOT
        for word in re.split(r"\s{2,}", line.strip())[0].split():
            assert (folder / word).exists(), word


def test_the_version_has_its_entry_in_the_changelog() -> None:
    from core import __version__

    assert f"## {__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
