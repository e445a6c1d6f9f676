"""Certificates: what SNS signs with, fetched from SNS itself and kept.

Who holds the key is told by TLS: the address is SNS's own host, whose certificate the system's authorities
have signed. Fetching is the one request that something from outside can cause here, so there are few.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import urllib3
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID
from urllib3.exceptions import HTTPError

from core.hooks.answers import Again, Never

MOST_BYTES = 32 * 1024
FETCH_SECONDS = 5.0
TURN_SECONDS = 1.0
FETCHES_PER_MINUTE = 10
KEPT = 64
REFUSED_SECONDS = 600.0
SMALLEST_KEY = 2048

_pool = urllib3.PoolManager(num_pools=4, cert_reqs="CERT_REQUIRED")


@dataclass(frozen=True, slots=True)
class _Kept:
    certificate: x509.Certificate | None  # None: what is there is no certificate, or one that has ended
    until: float | None  # monotonic


class Certificates:
    """By address. Safe for threads; threads that want one at once fetch it once."""

    def __init__(
        self,
        fetch: Callable[[str], bytes] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch or fetch_from_sns
        self._monotonic = monotonic
        self._turn = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._fetched_at: deque[float] = deque(maxlen=FETCHES_PER_MINUTE)

    def key(self, address: str, region: str, now: datetime) -> RSAPublicKey:
        """Raises Never when the certificate is not SNS's or not valid now, Again when it cannot be had."""
        certificate = self._find(address, now)
        key = certificate.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < SMALLEST_KEY:
            raise Never("certificate")
        if now < certificate.not_valid_before_utc:
            raise Never("certificate")
        if not names(certificate) & expected_names(region):
            raise Never("certificate")
        return key

    def _find(self, address: str, now: datetime) -> x509.Certificate:
        kept = self._look_up(address, now)
        if kept is None:
            if not self._turn.acquire(timeout=TURN_SECONDS):
                raise Again("certificate")
            try:
                kept = self._look_up(address, now) or self._fetch_new(address, now)
            finally:
                self._turn.release()
        if kept.certificate is None:
            raise Never("certificate")
        return kept.certificate

    def _look_up(self, address: str, now: datetime) -> _Kept | None:
        """What has ended since may have been renewed."""
        kept = self._kept.get(address)
        if kept and kept.until is not None and kept.until < self._monotonic():
            return None
        return None if kept and kept.certificate and kept.certificate.not_valid_after_utc < now else kept

    def _fetch_new(self, address: str, now: datetime) -> _Kept:
        """Few a minute: whoever knows a topic's name can make addresses up."""
        seconds = self._monotonic()
        if len(self._fetched_at) == FETCHES_PER_MINUTE and seconds - self._fetched_at[0] < 60.0:
            raise Again("certificate")
        self._fetched_at.append(seconds)
        kept = _Kept(None, until=seconds + REFUSED_SECONDS)
        with contextlib.suppress(Never, ValueError):
            certificate = x509.load_pem_x509_certificate(self._fetch(address))
            if now <= certificate.not_valid_after_utc:
                kept = _Kept(certificate, until=None)
        self._keep(address, kept)
        return kept

    def _keep(self, address: str, kept: _Kept) -> None:
        """Addresses that led nowhere go first."""
        self._kept[address] = kept
        if len(self._kept) > KEPT:
            empty = (known for known, one in self._kept.items() if one.certificate is None)
            del self._kept[next(empty, next(iter(self._kept)))]


def fetch_from_sns(address: str) -> bytes:
    """Raises Never when there is nothing at the address, Again when SNS does not answer."""
    try:
        answer = _pool.request(
            "GET",
            address,
            timeout=urllib3.Timeout(total=FETCH_SECONDS),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            content = answer.read(MOST_BYTES + 1, decode_content=False)
        finally:
            answer.close()
    except HTTPError as e:
        raise Again("certificate") from e
    if answer.status >= 500 or answer.status == 429:
        raise Again("certificate")
    if answer.status != 200 or len(content) > MOST_BYTES:
        raise Never("certificate")
    return content


def names(certificate: x509.Certificate) -> set[str]:
    """Common names and DNS names of whom it was issued to."""
    found = {str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)}
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return found
    return found | set(extension.value.get_values_for_type(x509.DNSName))


def expected_names(region: str) -> set[str]:
    """As SNS's own clients expect them: most regions share one name, opt-in regions, GovCloud and China have
    their own (AWS SDK for Java, sns-message-manager)."""
    suffix = ".cn" if region.startswith("cn-") else ""
    own = {f"sns-signing.{region}.amazonaws.com{suffix}", f"sns.{region}.amazonaws.com{suffix}"}
    if region.startswith("us-gov-"):
        return {*own, "sns-us-gov-west-1.amazonaws.com"}
    return {*own, f"sns-{region}.amazonaws.com{suffix}" if suffix else "sns.amazonaws.com"}
