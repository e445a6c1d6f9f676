"""The command line: `postyard`, also `python -m core`. Each command calls one use case."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click
import orjson

from core import __version__

# Named here with their help, so that `postyard --help` imports none of them.
COMMANDS = {
    "up": "Start everything on this machine: simulator, scheduler, webhooks, console.",
    "migrate": "Bring the database to this version's schema.",
    "simulator": "Run the SES simulator alone.",
    "work": "Run the scheduler's jobs in the foreground.",
    "doctor": "Check the installation and say what to do.",
    "users": "Who may sign in.",
    "tenants": "Customers whose mail is kept apart.",
    "accounts": "AWS accounts: what SES allows them, and production access.",
    "senders": "From addresses, their DNS records and verification.",
    "onboarding": "Links to a domain's records, for whoever manages its DNS.",
    "checklist": "What a tenant still needs before its mail goes out well.",
    "campaigns": "One content to many recipients.",
    "send": "Send one mail to one recipient.",
    "sending": "Whether mail leaves, what waits, and letting it go after a restore.",
    "suppressions": "Addresses a tenant must not write to.",
    "reputation": "When bad news pauses a tenant, and when it would have.",
    "events": "What comes back from SES.",
    "alerts": "What a person should know, and where it is sent.",
}
HIDDEN = ("demo",)
_SERVICE = dict.fromkeys(("up", "migrate", "simulator", "work", "doctor", "demo"), "services")


class _Commands(click.Group):
    """Imports a command's module when it is called: `core.cli.<name>`, attribute `<name>`."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **settings: Any) -> Any:
        """As click does it, and with --json a fault of usage is JSON on stdout, too."""
        given = sys.argv[1:] if args is None else list(args)
        try:
            _refuse_unreadable(given)
            code = super().main(given, *rest, **{**settings, "standalone_mode": False})
        except click.Abort:
            code = 130
        except click.ClickException as e:
            e.show()
            if "--json" in given:
                click.echo(orjson.dumps({"error": e.format_message()}, option=orjson.OPT_INDENT_2).decode())
            code = e.exit_code
        sys.exit(code if isinstance(code, int) else 0)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS and cmd_name not in HIDDEN:
            return None
        module = importlib.import_module(f"core.cli.{_SERVICE.get(cmd_name, cmd_name)}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _refuse_unreadable(arguments: Sequence[str]) -> None:
    """Bytes that are no UTF-8 come from the shell as lone surrogates, which no database keeps."""
    for argument in arguments:
        shown = argument.encode(errors="replace").decode()
        if shown != argument:
            raise click.UsageError(f"{shown!r} is not UTF-8. Set the terminal to UTF-8 and write it again.")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="postyard")
def main() -> None:
    """Postyard: send e-mail for many tenants through Amazon SES.

    The database is named by POSTYARD_DATABASE_URL, AWS by AWS's own variables. A tenant is named by its
    slug, a sender by its address. With --json a command prints JSON on stdout and nothing else there.
    """
