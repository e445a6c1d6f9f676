"""App: settings, database, providers and clock, put together once per process. Reading starts here."""

from __future__ import annotations

import contextlib
import functools
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from core import pacing
from core.db.engine import Database
from core.errors import ConfigurationError
from core.providers.base import EmailProvider, EventQueue, MailProvider
from core.settings import Settings


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware UTC: what is stored and shown."""

    def monotonic(self) -> float:
        """Seconds that never step: deadlines."""

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Providers(Protocol):
    """Clients per region, made once and kept: a new boto3 session costs 50-80 ms of CPU and 10 MB."""

    def email(self, region: str) -> EmailProvider: ...

    def queue(self, region: str) -> EventQueue: ...

    def resend(self) -> MailProvider | None:
        """None where the installation has no key for it."""


class AwsProviders:
    """With a database, SES's control operations wait for their turn among all processes that share it."""

    def __init__(self, settings: Settings, db: Database | None = None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._db = db
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._email: dict[str, EmailProvider] = {}
        self._queue: dict[str, EventQueue] = {}
        self._resend: MailProvider | None = None

    def email(self, region: str) -> EmailProvider:
        from core.providers.ses import SesProvider  # boto3 takes 300 ms to import: not for every page

        with self._lock:
            if region not in self._email:
                self._email[region] = SesProvider(
                    region, connections=self._settings.send_threads + 4, pace=self._pace(region)
                )
            return self._email[region]

    def queue(self, region: str) -> EventQueue:
        from core.providers.queue import SqsQueue

        with self._lock:
            if region not in self._queue:
                self._queue[region] = SqsQueue(region, connections=self._settings.ingest_threads + 4)
            return self._queue[region]

    def resend(self) -> MailProvider | None:
        from core.providers.resend import ResendProvider

        key = self._settings.resend_api_key
        if key is None:
            return None
        with self._lock:
            if self._resend is None:
                self._resend = ResendProvider(key.get_secret_value(), self._settings.resend_url)
            return self._resend

    def _pace(self, region: str) -> Callable[[], None] | None:
        if self._db is None:
            return None
        name = f"ses-control {region}"
        return pacing.pacer(self._db, self._clock, name, self._settings.control_calls_per_second)


@dataclass(frozen=True)
class App:
    """What every use case gets as its first parameter."""

    settings: Settings
    db: Database
    providers: Providers
    clock: Clock = field(default_factory=SystemClock)

    def now(self) -> datetime:
        return self.clock.now()

    def secret_key(self) -> bytes:
        """The key that signs unsubscribe links: from the settings, or made once and kept in data_dir."""
        if self.settings.secret_key is not None:
            return self.settings.secret_key.get_secret_value().encode()
        return _kept_secret(self.settings.data_dir / "secret_key").encode()


@functools.cache  # asked for once per recipient
def _kept_secret(path: Path) -> str:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Made beside and linked: another process sees no file or a whole one, never half of it.
            draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            draft.touch(mode=0o600)
            draft.write_text(secrets.token_hex(32), encoding="ascii")
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
            draft.unlink()
        return path.read_text(encoding="ascii").strip()
    except OSError as e:
        raise ConfigurationError(
            f"Cannot keep a secret key in {path} ({e.strerror}). "
            "Set POSTYARD_SECRET_KEY, or POSTYARD_DATA_DIR to a directory that can be written."
        ) from e


def build_app(settings: Settings | None = None) -> App:
    """Put the parts together; connects to nothing. Raises ConfigurationError when a setting is wrong."""
    settings = settings or Settings.load()
    db, clock = Database(settings.database_url.get_secret_value()), SystemClock()
    return App(settings=settings, db=db, providers=AwsProviders(settings, db, clock), clock=clock)
