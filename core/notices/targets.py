"""Targets: where a channel leads, checked before anything is kept of it. Pure.

A webhook's address is a secret: no sentence here repeats what was entered.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PublicSuffixList

from core.errors import InputError

LONGEST_URL = 2000
SHOWN = 4  # last characters of a webhook's address
LEAST_TO_SHOW = 24  # characters after the host: of a shorter one they would be too much of the secret

# One pattern, not a parser: what is dialled must be just what was checked.
_URL = re.compile(
    r"https://(?P<host>[a-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!\"$-\[\]-~]*)", re.IGNORECASE
)
_HOST = re.compile(r"(?=.{4,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]*[a-z][a-z0-9-]*")


class ChannelKind(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class WebAddress:
    host: str
    port: int
    path: str = field(repr=False)  # with its query: the secret

    @property
    def authority(self) -> str:
        return self.host if self.port == 443 else f"{self.host}:{self.port}"


def checked(kind: ChannelKind, written: str) -> str:
    """As it is kept. Raises InputError."""
    if kind is ChannelKind.EMAIL:
        return _email(written.strip())
    web_address(written.strip())
    return written.strip()


def web_address(url: str) -> WebAddress:
    """Raises InputError. Whether the host's name leads to us is found out whenever it is dialled."""
    match = _URL.fullmatch(url) if len(url) <= LONGEST_URL else None
    if match is None:
        raise InputError(
            "Enter the webhook's whole address: https://, the name of a host and a path, without spaces, "
            "a user name or #.",
            "target",
        )
    host, port = match["host"].lower().removesuffix("."), int(match["port"] or 443)
    if not _is_name(host) or not 0 < port < 65536:
        raise InputError(
            "A webhook's host is named as the internet knows it, like hooks.slack.com: no IP address, and no "
            "name that only a private network has.",
            "target",
        )
    return WebAddress(host, port, match["path"])


def shown(kind: str, target: str | None) -> str:
    """For people; None: it cannot be read any more."""
    if target is None:
        return "cannot be read: the secret key has changed; enter it again"
    if kind == ChannelKind.EMAIL:
        return target
    path = web_address(target).path
    return "…" + path[-SHOWN:] if len(path) >= LEAST_TO_SHOW else "…"


def _is_name(host: str) -> bool:
    return _HOST.fullmatch(host) is not None and _suffixes().privatesuffix(host) is not None


def _email(address: str) -> str:
    try:
        found = validate_email(address, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError as e:
        raise InputError(f"This is no e-mail address: {e}", "target") from e
    if not found.isascii():
        raise InputError("Enter the domain of the address in its xn-- form.", "target")
    return found


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False, only_icann=True)  # takes 30 ms to read
