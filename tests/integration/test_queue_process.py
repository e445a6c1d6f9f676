"""SQS asked from a process of its own: the same answers, and nobody waits for one that has died."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import events
from core.app import App
from core.errors import ProviderError
from core.providers.queue import SqsQueue
from core.providers.queue_process import QueueProcess
from tests.databases import ON_SQLITE
from tests.simulators import Simulator

REGION = "ap-southeast-1"


@pytest.fixture
def url(simulator: Simulator) -> str:
    return SqsQueue(REGION).create_event_queue("apart").queue_url


@pytest.fixture
def process() -> Iterator[QueueProcess]:
    process = QueueProcess(REGION, 4, "WARNING")
    yield process
    process.close()


def test_what_was_sent_is_received_and_gone_once_it_is_deleted(url: str, process: QueueProcess) -> None:
    bodies = {f"{number} ü \u2028" for number in range(12)}
    queue = SqsQueue(REGION)
    for body in bodies:
        queue.send_to(url, body)
    received = process.receive(url, wait_seconds=1)
    received += process.receive(url, wait_seconds=1)
    assert {message.body for message in received} == bodies
    assert all(message.sent_at is not None and message.receives == 1 and message.id for message in received)
    process.delete(url, [message.receipt for message in received])
    assert queue.depth(url) == 0
    assert process.receive(url, wait_seconds=0) == []


def test_a_refusal_is_the_same_as_without(url: str, process: QueueProcess) -> None:
    with pytest.raises(ProviderError) as without:
        SqsQueue(REGION).receive(url + "-absent", wait_seconds=0)
    with pytest.raises(ProviderError) as apart:
        process.receive(url + "-absent", wait_seconds=0)
    assert str(apart.value) == str(without.value)
    assert (apart.value.code, apart.value.permanent) == (without.value.code, without.value.permanent)


def test_one_that_is_killed_is_begun_anew(url: str, process: QueueProcess) -> None:
    process.receive(url, wait_seconds=0)
    assert process._child is not None
    killed, other = process._child.pid, SqsQueue(REGION).create_event_queue("other").queue_url
    fault: list[Exception] = []

    def wait() -> None:
        try:
            process.receive(other, wait_seconds=20)  # whose next message goes to the dead
        except ProviderError as e:
            fault.append(e)

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    os.kill(killed, signal.SIGKILL)
    waiting.join(5)
    assert not waiting.is_alive()
    assert "has ended" in str(fault[0])
    SqsQueue(REGION).send_to(url, "after")
    assert [message.body for message in process.receive(url, wait_seconds=1)] == ["after"]
    assert process._child.pid != killed


def test_it_ends_with_its_parent(url: str, tmp_path: Path) -> None:
    parent = (
        "import sys, time\n"
        "from core.providers.queue_process import QueueProcess\n"
        "process = QueueProcess(sys.argv[1], 2, 'WARNING')\n"
        "process.receive(sys.argv[2], wait_seconds=0)\n"
        "print(process._child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent, REGION, url], stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        child = int(started.stdout.readline())
        started.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and _state(child) != "Z" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}").exists() or _state(child) == "Z"


@ON_SQLITE
def test_polling_apart_stores_deletes_and_stops(app: App, cast: object, simulator: Simulator) -> None:
    stop = threading.Event()
    threads = threading.active_count()
    said: list[str] = []
    polling = threading.Thread(target=lambda: said.append(events.poll_apart(app, stop)))
    polling.start()
    time.sleep(1)
    stop.set()
    polling.join(15)
    assert said
    assert said[0].startswith("stored ")
    assert threading.active_count() <= threads + 1


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
