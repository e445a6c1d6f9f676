"""The stage on which schedules are played, one for each test process."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import PostgresServer
from tests.faults.simulation.stage import PostgresStage, Stage, in_memory, sqlite_stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, sqlite_stage(Path(directory)) as stage:
        yield stage


@pytest.fixture
def postgres_stage(postgres: PostgresServer, tmp_path: Path) -> Iterator[Stage]:
    with postgres.database() as url:
        stage = PostgresStage(url, tmp_path)
        yield stage
        stage.close()
