"""The cast as it stands when a test begins: set up through SES once, then copied, database and simulator."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from core.app import App, AwsProviders, build_app
from core.settings import Settings
from tests.databases import PostgresServer, copy_sqlite
from tests.simulators import Simulator

FRESH_SECONDS = 60.0  # so that what goes by age is as good as new


@dataclass(frozen=True)
class Opening:
    """`template`: a SQLite file or a PostgreSQL database. `kept`: the simulator's name for its side."""

    template: str
    kept: str
    made_at: float


class Openings:
    """`set_ups`: by name, what is done to an empty installation."""

    def __init__(
        self, simulator: Simulator, directory: Path, set_ups: Mapping[str, Callable[[App, Simulator], object]]
    ) -> None:
        self._simulator, self._directory, self._set_ups = simulator, directory, set_ups
        self._aws = AwsProviders(Settings.load())
        self._made: dict[str, Opening] = {}

    def on_sqlite(self, name: str, migrated: Path) -> Opening:
        path = self._directory / f"{name}.db"
        return self._fresh(name, str(path), lambda: copy_sqlite(migrated, path))

    def on_postgres(self, name: str, server: PostgresServer) -> Opening:
        template = f"postyard_{name}"
        return self._fresh(name, template, lambda: server.template(template))

    def _fresh(self, name: str, template: str, empty: Callable[[], str]) -> Opening:
        found = self._made.get(template)
        if found is None or time.monotonic() > found.made_at + FRESH_SECONDS:
            found = self._made[template] = self._make(name, template, empty())
        return found

    def _make(self, name: str, template: str, url: str) -> Opening:
        self._simulator.reset()
        settings = Settings.load(database_url=url, data_dir=self._directory, dns_servers=self._simulator.dns)
        app = replace(build_app(settings), providers=self._aws)
        self._set_ups[name](app, self._simulator)
        wait_for_furnishing()
        app.db.dispose()
        self._simulator.keep(template)
        return Opening(template, kept=template, made_at=time.monotonic())


def wait_for_furnishing() -> None:
    """What adding a domain still asks of SES would reach into the next test's simulator."""
    for thread in threading.enumerate():
        if thread.name.startswith("furnish "):
            thread.join(30)
