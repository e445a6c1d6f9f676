"""Resend: the second way out behind the contract of base.py.

A request with an `Idempotency-Key` may be repeated: for 24 hours Resend answers it with the ids it gave
before and sends nothing again (resend.com/docs, Idempotency Keys). That is the one place where mail that may
have been taken is asked for once more. urllib3, not Resend's SDK, which does not tell a connection that was
never made from an answer that was lost.
"""

from __future__ import annotations

import ssl
import time
from urllib.parse import urlsplit

import orjson
import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    SSLError,
)

from core import __version__
from core.errors import ConfigurationError
from core.providers import resend_mail
from core.providers.base import BulkMail, EntryResult, Outcome

LARGEST_REQUEST = 40_000_000  # bytes; Resend takes 40 MB
CONNECT_SECONDS = 2.0
# A tenant's pause holds within 30 s: 10 s from arming to the call, a whole time-out, then this one.
REPEAT_READ_SECONDS = 5.0
_BATCH = {"x-batch-validation": "permissive"}  # one bad address does not cost the others their mail
_NOT_CONNECTED = (ConnectTimeoutError, LocationValueError, NewConnectionError)


class ResendProvider:
    """One team at Resend. Safe for threads. Making it calls nobody.

    Raises ConfigurationError for a key that no header can carry: the HTTP library would print it."""

    name = "resend"
    largest_call = 100

    def __init__(
        self,
        api_key: str,
        url: str,
        *,
        read_timeout_seconds: float = 15.0,
        repeat_after_seconds: float = 0.5,
    ) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigurationError("POSTYARD_RESEND_API_KEY is no API key of Resend. Copy it anew.")
        self._url = url.rstrip("/")
        self._read_seconds = read_timeout_seconds
        self._repeat_after_seconds = repeat_after_seconds
        self._headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "User-Agent": f"postyard/{__version__}",  # Resend refuses requests without one
        }
        self._pool = urllib3.PoolManager(num_pools=1)

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        if reason := resend_mail.why_not(mail):
            return [EntryResult(Outcome.REFUSED, code="forbidden", reason=reason)] * len(mail.entries)
        wanted, known = resend_mail.batch(mail, LARGEST_REQUEST)
        body = b"[%s]" % b",".join(wanted)
        answered = iter(self._ask("/emails/batch", body, len(wanted), mail.idempotency_key, _BATCH))
        return [result or next(answered) for result in known]

    def send_one(self, mail: BulkMail) -> EntryResult:
        if reason := resend_mail.why_not(mail):
            return EntryResult(Outcome.REFUSED, code="forbidden", reason=reason)
        [entry] = mail.entries
        email = resend_mail.email(mail, entry)
        if isinstance(email, EntryResult):
            return email
        return self._ask("/emails", orjson.dumps(email), 1, mail.idempotency_key, {})[0]

    def _ask(
        self, path: str, body: bytes, count: int, key: str, headers: dict[str, str]
    ) -> list[EntryResult]:
        """Once, and with a key once more when nobody can tell what became of it."""
        if not count:
            return []
        headers = {**self._headers, **headers, **({"Idempotency-Key": key} if key else {})}
        answer = self._post(path, body, headers, count, self._read_seconds)
        if answer.results[0].outcome is not Outcome.UNKNOWN or not key:
            return answer.results
        time.sleep(self._repeat_after_seconds)
        again = self._post(path, body, headers, count, min(self._read_seconds, REPEAT_READ_SECONDS))
        # A refusal now says nothing about the request before it.
        return again.results if again.accepts else answer.results

    def _post(
        self, path: str, body: bytes, headers: dict[str, str], count: int, read_seconds: float
    ) -> resend_mail.Answer:
        try:
            answer = self._pool.request(
                "POST",
                self._url + path,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=read_seconds),
                retries=False,
                redirect=False,
            )
        except HTTPError as e:
            why = type(e).__name__
            if isinstance(e, _NOT_CONNECTED) or _is_untrusted_certificate(e):
                return resend_mail.not_sent(why, urlsplit(self._url).netloc or self._url, count)
            return resend_mail.lost(why, count)
        return resend_mail.read(answer.status, answer.data, count)


def _is_untrusted_certificate(error: HTTPError) -> bool:
    """The handshake failed on the certificate: no byte of the request was sent."""
    inner = error.args[0] if isinstance(error, SSLError) and error.args else None
    return isinstance(inner, ssl.SSLCertVerificationError)
