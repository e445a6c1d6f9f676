"""Up: every process of a small installation under one supervisor, against the simulator.

It owns its children: each has a process group and a log file of its own, all end with it, and when one dies
by itself the others are ended and the reason is told.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import orjson

from core import demo as demo_tenants
from core import jobs, users
from core.access import SYSTEM, Role
from core.app import App, build_app
from core.db import migrate
from core.errors import ConfigurationError, PostyardError
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 90.0
# A scheduler that ends waits for its calls to SES first: up to 25 s by itself.
END_SECONDS = 30.0
LOG_TAIL_LINES = 12


class _Ended(Exception):
    """Somebody asked for the end while things were starting."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """Where the SES simulator runs, and what makes boto3 talk to it."""

    data: Path
    port: int
    dns_port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "simulator",
            "AWS_SECRET_ACCESS_KEY": "simulator",
            "AWS_DEFAULT_REGION": "ap-southeast-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "POSTYARD_DNS_SERVERS": f"{HOST}:{self.dns_port}",
        }

    def resend(self) -> dict[str, str]:
        """The second way out, unless the caller has one of its own."""
        return {
            "POSTYARD_RESEND_API_KEY": "re_simulator",
            "POSTYARD_RESEND_URL": f"{self.url}/resend",
            "POSTYARD_RESEND_FROM": "Postyard <news@postyard-mail.io>",
        }

    def tell_resends_events_to(self, url: str, secret: str) -> None:
        """From now on, of mail that its Resend accepts."""
        body = orjson.dumps({"resend_webhook": {"url": url, "secret": secret}})
        with urllib.request.urlopen(f"{self.url}/_sim/scenario", data=body, timeout=10):
            return

    def command(self) -> list[str]:
        if not all(importlib.util.find_spec(name) for name in ("simulator", "ministack")):
            raise ConfigurationError(
                "The simulator is not installed here. Run: make install (or pip install 'postyard[local]')"
            )
        where = ["--data", str(self.data), "--port", str(self.port), "--dns-port", str(self.dns_port)]
        return [sys.executable, "-m", "simulator", *where, "--host", HOST]


@dataclass(frozen=True, slots=True)
class Place:
    """Directory and ports of one installation."""

    data: Path
    port: int
    webhook_secret: str = field(
        default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(), repr=False
    )

    @property
    def console_url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def webhooks_url(self) -> str:
        return f"http://{HOST}:{self.port + 2}"

    @property
    def simulator(self) -> Simulator:
        return Simulator(self.data / "simulator", self.port + 1, self.port + 3)

    def log(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    def environment(self, settings: Settings) -> dict[str, str]:
        """What children see: the caller's environment, but no AWS other than the simulator."""
        # The one place besides core/settings.py that reads the environment: children inherit it.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}  # noqa: TID251
        # The simulator has no limit such as SES's.
        unless_told = {
            "POSTYARD_CONTROL_CALLS_PER_SECOND": "50",
            **self.simulator.resend(),
            "POSTYARD_RESEND_WEBHOOK_SECRET": self.webhook_secret,
        }
        return {**unless_told, **inherited} | {
            "PYTHONUNBUFFERED": "1",
            "POSTYARD_DATABASE_URL": settings.database_url.get_secret_value(),
            "POSTYARD_DATA_DIR": str(self.data),
            "POSTYARD_PUBLIC_URL": settings.public_url or self.webhooks_url,
            "POSTYARD_CONSOLE_URL": settings.console_url or self.console_url,
            **self.simulator.environment(),
        }

    def console_command(self) -> list[str]:
        options = {
            "server.port": str(self.port),
            "server.address": HOST,
            "server.headless": "true",
            "server.fileWatcherType": "none",
            "browser.gatherUsageStats": "false",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return [sys.executable, "-m", "streamlit", "run", str(ROOT / "console.py"), *flags]

    def webhooks_command(self) -> list[str]:
        where = ["--host", HOST, "--port", str(self.port + 2), "--no-server-header"]
        return [sys.executable, "-m", "uvicorn", "webhooks:app", *where]


def run(data: Path, port: int, *, demo: bool, as_json: bool) -> int:
    """Start everything and stay until told to end; the exit code. 0 only when a person ended it."""
    place = Place(data.absolute(), port)
    stop = threading.Event()
    os.umask(0o077)  # database, logs and the simulator's mail are for this user alone
    jobs.stop_when_told(stop, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    try:
        with _locked(place.data):
            _check_ports(port)
            settings = _settings(place)
            children = _Children(place, place.environment(settings), stop)
            with children.ended_at_exit():
                _start(place, settings, children, demo=demo, as_json=as_json)
                children.watch()
    except _Ended:
        return 0
    except (ConfigurationError, PostyardError) as e:
        click.echo(f"Error: {e}", err=True)
        return 2
    return 0


def _settings(place: Place) -> Settings:
    """The environment's, with the database and files in the data directory unless it names others."""
    settings = Settings.load(data_dir=place.data)
    if "database_url" in settings.model_fields_set:
        return settings
    return Settings.load(data_dir=place.data, database_url=f"sqlite:///{place.data / 'postyard.db'}")


def _start(place: Place, settings: Settings, children: _Children, *, demo: bool, as_json: bool) -> None:
    children.start("simulator", place.simulator.command())
    app = build_app(settings)
    app.db.check()
    migrate.upgrade(app.db)
    children.start("webhooks", place.webhooks_command())
    children.start("console", place.console_command())
    children.wait_until_ready(f"{place.simulator.url}/_sim/health", "simulator")
    place.simulator.tell_resends_events_to(f"{place.webhooks_url}/webhooks/resend", place.webhook_secret)
    if demo and demo_tenants.is_wanted(app):
        click.echo("Making demo tenants with three months of history ...", err=True)
        children.run_to_end(
            "demo", [sys.executable, "-m", "core", "demo", "--simulator", place.simulator.url]
        )
    children.start("scheduler", [sys.executable, str(ROOT / "scheduler.py")])
    children.wait_until_ready(f"{place.console_url}/_stcore/health", "console")
    children.wait_until_ready(f"{place.webhooks_url}/healthz", "scheduler")  # well when the scheduler beats
    _announce(place, _first_password(app), as_json=as_json)
    app.db.dispose()


def _first_password(app: App) -> str | None:
    """Of the administrator that an installation without users gets; None when there are users."""
    if users.has_users(app):
        return None
    _, password = users.create(app, SYSTEM, username="admin", name="Administrator", role=Role.ADMIN)
    return password


def _announce(place: Place, password: str | None, *, as_json: bool) -> None:
    if as_json:
        value = {
            "console": place.console_url,
            "webhooks": place.webhooks_url,
            "simulator": place.simulator.url,
            "dns": f"{HOST}:{place.simulator.dns_port}",
            "data": str(place.data),
            "username": "admin" if password else None,
            "password": password,
        }
        click.echo(orjson.dumps(value).decode())
        return
    lines = ["", f"  Postyard is ready: {place.console_url}"]
    if password:
        lines += [
            "",
            f"  First log-in:  admin  /  {password}",
            "  Shown this once; you choose your own at the log-in.",
        ]
    lines += ["", f"  Data and logs: {place.data}", "  Ctrl-C ends everything.", ""]
    click.echo("\n".join(lines))


@contextlib.contextmanager
def _locked(data: Path) -> Iterator[None]:
    """Two supervisors on one directory would share a simulator's files."""
    try:
        (data / "logs").mkdir(parents=True, exist_ok=True)
        lock = (data / "up.lock").open("a", encoding="ascii")
    except OSError as e:
        raise ConfigurationError(f"Cannot write to {data} ({e.strerror}). Choose another with --data.") from e
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"Postyard is already running from {data}. "
                "End it first, or choose another directory with --data."
            ) from None
        yield


def _check_ports(port: int) -> None:
    """Before anything is started: a half-started installation is worse than none."""
    parts = {"console": port, "simulator": port + 1, "webhooks": port + 2, "DNS": port + 3}
    busy = [f"{number} ({name})" for name, number in parts.items() if _is_busy(number, name == "DNS")]
    if busy:
        raise ConfigurationError(
            f"Port {', '.join(busy)} is in use by another program. "
            f"End it, or choose four free ports in a row: postyard up --port {port + 10}"
        )


def _is_busy(port: int, udp_too: bool) -> bool:
    kinds = [socket.SOCK_STREAM, socket.SOCK_DGRAM] if udp_too else [socket.SOCK_STREAM]
    for kind in kinds:
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return True
    return False


class _Children:
    """The processes started here, in the order of their start; they end in the opposite order."""

    def __init__(self, place: Place, environment: Mapping[str, str], stop: threading.Event) -> None:
        self._place = place
        self._environment = environment
        self._stop = stop
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        if self._stop.is_set():
            raise _Ended
        with self._place.log(name).open("ab") as log:
            # A session of its own: a Ctrl-C in the terminal reaches the supervisor alone, which ends the
            # children in order, and a child's own children end with it.
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._running[name] = process
        return process

    def run_to_end(self, name: str, command: list[str]) -> None:
        process = self.start(name, command)
        while process.poll() is None:
            self._check()
        del self._running[name]
        if process.returncode != 0:
            raise ConfigurationError(self._obituary(name, process))

    def wait_until_ready(self, url: str, name: str) -> None:
        """Until it answers there with 200. Raises ConfigurationError when that takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while not _answers(url):
            self._check()
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The {name} did not answer within {START_SECONDS:.0f} s. See {self._place.log(name)}"
                )

    def watch(self) -> None:
        """Stay until told to end, or until a child dies: ConfigurationError says which and why."""
        try:
            while True:
                self._check()
        except _Ended:
            click.echo("Ending everything ...", err=True)

    def _check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None and name != "demo":
                raise ConfigurationError(self._obituary(name, process))
        if self._stop.wait(0.1):
            raise _Ended

    def _obituary(self, name: str, process: subprocess.Popen[bytes]) -> str:
        log = self._place.log(name)
        how = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return (
            f"The {name} ended by itself ({how}); everything else was ended too. Start again: what was sent "
            f"is not sent twice. Should it end again, its log tells why. {log} says last:\n"
            + ("\n".join(f"  {line}" for line in last))
        )

    @contextlib.contextmanager
    def ended_at_exit(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._end()

    def _end(self) -> None:
        """The simulator last: the scheduler finishes its calls to it. A second Ctrl-C kills what is left."""
        self._stop.clear()
        others = {name: process for name, process in self._running.items() if name != "simulator"}
        for group in (others, self._running):
            for process in group.values():
                _signal(process, signal.SIGTERM)
            self._wait(group)

    def _wait(self, group: Mapping[str, subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + END_SECONDS
        while any(process.poll() is None for process in group.values()):
            if self._stop.wait(0.05) or time.monotonic() > deadline:
                break
        for process in group.values():
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the child's whole group; not to what has ended, for its number may be another's by now."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:  # refused, timed out, or an HTTP error: not yet
        return False
