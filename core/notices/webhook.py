"""Webhook: a POST to an address that somebody typed in, and to nobody inside our own network.

The host's name is looked up once; each address it has is checked, and the very address that was checked is
dialled, so a name that leads elsewhere a moment later leads nobody there. The certificate is checked against
the name. Redirections are not followed, and all of it ends within ten seconds, however slowly it comes.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException

import dns.exception
import dns.resolver

from core import __version__
from core.dns.addresses import is_public
from core.errors import ProviderError
from core.notices.deadline import cut_off
from core.notices.targets import WebAddress

SECONDS = 10.0
LOOKUP_SECONDS = 4.0
CONNECT_SECONDS = 3.0
MOST_DIALLED = 2  # of a host's addresses
READ_BYTES = 200
# Public by their numbers, and yet a cloud's own service: Azure's host.
_OURS = {"168.63.129.16"}
# Slack's word for what is wrong: "no_service". Nothing else of an answer is kept: it may repeat the secret.
_SLACK_WORD = re.compile(rb"[a-z_]{3,40}")


def addresses_of(host: str) -> list[str]:
    """By the system's DNS servers; its hosts file is not asked."""
    try:
        return sorted(dns.resolver.Resolver().resolve_name(host, lifetime=LOOKUP_SECONDS).addresses())
    except dns.exception.DNSException as e:
        raise ProviderError(
            f"The name {host} was not found ({type(e).__name__}). Check the webhook's address.",
            permanent=False,
        ) from e


def may_dial(address: str) -> bool:
    return is_public(address) and address not in _OURS


@dataclass(frozen=True, slots=True)
class Dialler:
    """Made without arguments but in tests: an installation has no setting for whom it dials."""

    addresses_of: Callable[[str], list[str]] = addresses_of
    may_dial: Callable[[str], bool] = may_dial
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    seconds: float = SECONDS

    def post(self, to: WebAddress, body: bytes) -> None:
        """JSON. Raises ProviderError unless it was taken."""
        ends_at = time.monotonic() + self.seconds
        found = self.addresses_of(to.host)
        if not found or not all(self.may_dial(address) for address in found):
            raise ProviderError(
                f"{to.host} leads into a private network: Postyard sends nothing there.", permanent=True
            )
        try:
            status, word = self._ask(found, to, body, ends_at)
        except ssl.SSLCertVerificationError as e:
            raise _failed(f"{to.host} has no good certificate ({e.verify_message})") from e
        except (OSError, HTTPException, ValueError) as e:
            late = isinstance(e, TimeoutError) or time.monotonic() >= ends_at
            why = f"within {self.seconds:.0f} s" if late else f"({type(e).__name__})"
            raise _failed(f"{to.host} did not answer {why}") from e
        _judge(to.host, status, word)

    def _ask(self, found: list[str], to: WebAddress, body: bytes, ends_at: float) -> tuple[int, str]:
        with (
            _connected(found, to.port, ends_at) as raw,
            cut_off(raw, ends_at),
            self.context().wrap_socket(raw, server_hostname=to.host) as secured,
        ):
            return _post(secured, to, body)


def _post(secured: ssl.SSLSocket, to: WebAddress, body: bytes) -> tuple[int, str]:
    connection = HTTPConnection(to.host, to.port)
    connection.auto_open = 0  # it must never look the name up itself
    connection.sock = secured
    headers = {
        "Host": to.authority,
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": f"postyard/{__version__}",
        "Connection": "close",
    }
    connection.request("POST", to.path, body, headers)
    answer = connection.getresponse()
    if _is_taken(answer.status):  # whatever else comes, or does not: it would be sent again
        return answer.status, ""
    said = answer.read(READ_BYTES).strip()
    return answer.status, said.decode() if _SLACK_WORD.fullmatch(said) else ""


def _is_taken(status: int) -> bool:
    return 200 <= status < 300


def _judge(host: str, status: int, word: str) -> None:
    if _is_taken(status):
        return
    if 300 <= status < 400:
        raise _failed(f"{host} answers with a redirection ({status}), which is not followed")
    raise _failed(f"{host} answered {status}" + (f" {word}" if word else ""))


def _failed(what: str) -> ProviderError:
    return ProviderError(f"{what}.", permanent=False)


@contextmanager
def _connected(found: list[str], port: int, ends_at: float) -> Iterator[socket.socket]:
    """To the first of the checked addresses that takes the call."""
    raw, refusal = None, OSError("no address")
    for address in found[:MOST_DIALLED]:
        left = min(CONNECT_SECONDS, ends_at - time.monotonic())
        try:
            raw = socket.create_connection((address, port), timeout=max(left, 0.1))
            break
        except OSError as e:
            refusal = e
    if raw is None:
        raise refusal
    with raw:
        raw.settimeout(max(ends_at - time.monotonic(), 0.1))
        yield raw
