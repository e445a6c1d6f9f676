"""`postyard up`, as `make run` starts it: from an empty directory to a working console, and to its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.simulators import ROOT

pytestmark = pytest.mark.slow

START_SECONDS = 120
Start = Callable[..., subprocess.Popen[str]]


def four_free_ports() -> int:
    """The first of four in a row."""
    while True:
        with contextlib.ExitStack() as held, contextlib.suppress(OSError, OverflowError):
            first = held.enter_context(bound(0)).getsockname()[1]
            for port in range(first + 1, first + 4):
                held.enter_context(bound(port))
            return int(first)


def bound(port: int) -> socket.socket:
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind(("127.0.0.1", port))
    except (OSError, OverflowError):
        holder.close()
        raise
    return holder


def clean_environment() -> dict[str, str]:
    """Without the settings of this test run: `up` brings its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POSTYARD_"))}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def start(port: int, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "core",
                "up",
                "--data",
                str(tmp_path / "var"),
                "--port",
                str(port),
                *arguments,
            ],
            cwd=ROOT,
            env=clean_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.terminate()
        process.wait(60)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it prints once everything runs."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate(timeout=60)[1]
    return dict(json.loads(line))


def answers(url: str) -> int:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return int(answer.status)


def nothing_listens(port: int) -> bool:
    try:
        for number in range(port, port + 4):
            bound(number).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


@pytest.mark.slow
def test_it_starts_everything_and_ctrl_c_ends_everything(start: Start, tmp_path: Path) -> None:
    port = four_free_ports()
    first = start(port, "--no-demo", "--json")
    place = ready(first)

    assert place["console"] == f"http://127.0.0.1:{port}"
    assert place["username"] == "admin"
    assert len(place["password"]) >= 12
    assert answers(place["console"]) == answers(f"{place['webhooks']}/healthz") == 200
    assert answers(f"{place['simulator']}/_sim/health") == 200

    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors) == (0, "Ending everything ...\n")
    assert nothing_listens(port)

    # A second start keeps what was there: nobody gets a password again.
    second = start(port, "--no-demo", "--json")
    assert ready(second)["password"] is None
    second.terminate()
    assert second.wait(60) == 0
    for log in (tmp_path / "var" / "logs").iterdir():
        assert place["password"] not in log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_child_that_dies_is_named_and_the_others_end(start: Start, tmp_path: Path) -> None:
    port = four_free_ports()
    process = start(port, "--no-demo", "--json")
    ready(process)
    scheduler = int((tmp_path / "var" / "scheduler.lock").read_text(encoding="ascii"))

    os.kill(scheduler, signal.SIGKILL)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 2
    assert errors.startswith("Error: The scheduler ended by itself (signal 9)")
    assert "Start again" in errors
    assert "scheduler.log" in errors
    assert nothing_listens(port)


@pytest.mark.slow
def test_being_told_to_end_while_starting_leaves_nothing(start: Start, tmp_path: Path) -> None:
    port = four_free_ports()
    process = start(port, "--no-demo")
    wait_until(lambda: (tmp_path / "var" / "logs" / "console.log").exists(), START_SECONDS)

    process.terminate()
    _, errors = process.communicate(timeout=60)

    assert (process.returncode, errors) == (0, "")
    assert nothing_listens(port)


@pytest.mark.slow
def test_a_second_one_on_the_same_directory_is_refused(start: Start) -> None:
    first_port, second_port = four_free_ports(), four_free_ports()
    first = start(first_port, "--no-demo", "--json")
    ready(first)

    second = start(second_port, "--no-demo")
    _, errors = second.communicate(timeout=30)

    assert second.returncode == 2
    assert "already running" in errors
    assert first.poll() is None


@pytest.mark.parametrize(("offset", "name"), [(0, "console"), (1, "simulator"), (2, "webhooks"), (3, "DNS")])
def test_a_busy_port_is_named_before_anything_starts(
    start: Start, tmp_path: Path, offset: int, name: str
) -> None:
    port = four_free_ports()
    with bound(port + offset) as other:
        other.listen()
        process = start(port)
        _, errors = process.communicate(timeout=30)

    assert process.returncode == 2
    assert f"Port {port + offset} ({name}) is in use" in errors
    assert "--port" in errors
    assert list((tmp_path / "var" / "logs").iterdir()) == []


def test_the_simulator_runs_alone_and_says_how_to_use_it(tmp_path: Path) -> None:
    port = four_free_ports()
    arguments = ["simulator", "--data", str(tmp_path), "--port", str(port), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "core", *arguments],
        cwd=tmp_path, env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            variables = json.loads("".join(iter(process.stdout.readline, "}\n")) + "}")
            assert variables["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{port}"
            assert variables["POSTYARD_DNS_SERVERS"] == f"127.0.0.1:{port + 2}"
            wait_until(lambda: is_up(f"{variables['AWS_ENDPOINT_URL']}/_sim/health"))
        finally:
            process.terminate()


def is_up(url: str) -> bool:
    try:
        return answers(url) == 200
    except OSError:
        return False


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory", encoding="ascii")

    result = subprocess.run(
        [sys.executable, "-m", "core", "up", "--data", str(tmp_path / "file" / "var")],
        cwd=ROOT, env=clean_environment(), capture_output=True, text=True, timeout=30,
    )  # fmt: skip

    assert result.returncode == 2
    assert "--data" in result.stderr
    assert "Traceback" not in result.stderr
