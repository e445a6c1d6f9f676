"""The scheduler as a process: it works, ends when told, and is alone on SQLite."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select, text

from core import campaigns, tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import JobRun, Worker
from core.jobs import EARLY, JOBS
from tests.conftest import verified_sender
from tests.processes import environment
from tests.simulators import ROOT, Simulator

pytestmark = pytest.mark.slow

Start = Callable[[], subprocess.Popen[bytes]]
ON_POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
# Every beginning of every job, whichever process begins it.
COUNT_RUNS = (
    "CREATE TABLE runs (name text, began timestamptz)",
    "CREATE FUNCTION count_run() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO runs VALUES (NEW.name, NEW.started_at); RETURN NEW; END $$",
    "CREATE TRIGGER count_runs AFTER UPDATE ON job_runs FOR EACH ROW "
    "WHEN (NEW.started_at IS DISTINCT FROM OLD.started_at) EXECUTE FUNCTION count_run()",
)
CSV = "email\n" + "".join(f"person{n}@example.com\n" for n in range(300))


@pytest.fixture
def start(app: App, tmp_path: Path) -> Iterator[Start]:
    """Starts a scheduler; its log is tmp_path/scheduler-<n>.log."""
    processes: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        with (tmp_path / f"scheduler-{len(processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "scheduler.py"], cwd=ROOT, env=environment(app), stdout=log, stderr=log
            )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def wait_until(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def workers(app: App) -> list[Worker]:
    with app.db.read() as session:
        return list(session.scalars(select(Worker).where(Worker.stopped_at.is_(None))))


def runs(app: App, job: str) -> list[datetime]:
    with app.db.read() as session:
        found = session.execute(
            text("SELECT began FROM runs WHERE name = :name ORDER BY began"), {"name": job}
        )
        return list(found.scalars())


def log(tmp_path: Path, number: int = 0) -> str:
    return (tmp_path / f"scheduler-{number}.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_campaign_is_sent_and_its_outcome_heard(app: App, simulator: Simulator, start: Start) -> None:
    acme = tenants.create(app, SYSTEM, slug="acme", name="Acme Retail")
    sender = verified_sender(app, simulator, acme.id, "news@acme-mail.io")
    created = campaigns.create(
        app, SYSTEM, acme.id, name="Spring", sender_id=sender.id,
        subject="Hi", html="<p>Hi</p>", csv=CSV.encode(),
    )  # fmt: skip
    campaigns.start(app, SYSTEM, acme.id, created.campaign_id)

    start()

    def delivered() -> int:
        return campaigns.status(app, SYSTEM, acme.id, created.campaign_id).counts["delivered"]

    wait_until(lambda: delivered() == 300)
    assert len(simulator.messages()) == 300


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_it_ends_cleanly_when_told(app: App, start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start()
    wait_until(lambda: workers(app))

    process.send_signal(number)

    assert process.wait(20) == 0
    assert workers(app) == []
    assert "Traceback" not in log(tmp_path)


@pytest.mark.slow
def test_every_job_runs_at_the_start(app: App, start: Start) -> None:
    start()

    def finished() -> set[str]:
        with app.db.read() as session:
            return set(session.scalars(select(JobRun.name).where(JobRun.finished_at.is_not(None))))

    wait_until(lambda: finished() == {job.name for job in JOBS})


@pytest.mark.slow
def test_a_second_one_waits_on_sqlite_and_works_along_on_postgresql(
    app: App, start: Start, tmp_path: Path
) -> None:
    first = start()
    wait_until(lambda: workers(app))
    second = start()

    if not app.db.is_sqlite:
        wait_until(lambda: len(workers(app)) == 2)
        return
    wait_until(lambda: f"process {first.pid} already is the scheduler" in log(tmp_path, 1))
    assert len(workers(app)) == 1
    first.terminate()
    assert first.wait(20) == 0
    wait_until(lambda: [worker.pid for worker in workers(app)] == [second.pid])


@pytest.mark.slow
@ON_POSTGRESQL
def test_of_two_at_once_each_job_is_run_by_one(app: App, start: Start, tmp_path: Path) -> None:
    with app.db.begin() as session:
        for statement in COUNT_RUNS:
            session.execute(text(statement))
    for _ in range(2):
        start()

    wait_until(lambda: len(runs(app, "tell SES who is paused")) >= 3)

    assert len(workers(app)) == 2
    assert all("loops are running" in log(tmp_path, number) for number in range(2))
    for job in JOBS:
        began = runs(app, job.name)
        apart = [(later - earlier).total_seconds() for earlier, later in pairwise(began)]
        assert began, job.name
        assert all(seconds >= job.every_seconds * EARLY for seconds in apart), job.name


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # nobody waits on PostgreSQL
def test_a_waiting_one_ends_when_told(app: App, start: Start, tmp_path: Path) -> None:
    start()
    wait_until(lambda: workers(app))
    second = start()
    wait_until(lambda: "waiting" in log(tmp_path, 1))

    second.terminate()

    assert second.wait(5) == 0


def test_without_a_database_it_says_so_and_ends(app: App, tmp_path: Path) -> None:
    away = environment(app) | {"POSTYARD_DATABASE_URL": f"sqlite:///{tmp_path / 'empty.db'}"}

    result = subprocess.run(
        [sys.executable, "scheduler.py"], cwd=ROOT, env=away, capture_output=True, text=True, timeout=30
    )

    assert result.returncode == 2
    assert "Run: postyard migrate" in result.stderr
    assert "Traceback" not in result.stderr
