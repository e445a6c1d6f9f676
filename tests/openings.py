"""The cast as it stands when a test begins: set up through SES once, then copied, database and simulator."""

from __future__ import annotations

import time
from collections.abc import Callable
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
    """`set_up`: what is done to an empty installation."""

    def __init__(self, simulator: Simulator, directory: Path, set_up: Callable[[App], object]) -> None:
        self._simulator, self._directory, self._set_up = simulator, directory, set_up
        self._aws = AwsProviders(Settings.load())
        self._made: dict[str, Opening] = {}

    def on_sqlite(self, migrated: Path) -> Opening:
        path = self._directory / "opening.db"
        return self._fresh("sqlite", str(path), lambda: copy_sqlite(migrated, path))

    def on_postgres(self, server: PostgresServer) -> Opening:
        template = "postyard_opening"
        return self._fresh("postgresql", template, lambda: server.template(template))

    def _fresh(self, kind: str, template: str, empty: Callable[[], str]) -> Opening:
        found = self._made.get(kind)
        if found is None or time.monotonic() > found.made_at + FRESH_SECONDS:
            found = self._made[kind] = self._make(kind, template, empty())
        return found

    def _make(self, kind: str, template: str, url: str) -> Opening:
        self._simulator.reset()
        settings = Settings.load(database_url=url, data_dir=self._directory, dns_servers=self._simulator.dns)
        app = replace(build_app(settings), providers=self._aws)
        self._set_up(app)
        app.db.dispose()
        self._simulator.keep(kind)
        return Opening(template, kind, time.monotonic())
