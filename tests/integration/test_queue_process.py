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
from core.providers.base import QueueMessage
from core.providers.queue import SqsQueue
from core.providers.queue_process import QueueProcess
from tests.databases import ON_SQLITE
from tests.simulators import Simulator

REGION = "ap-southeast-1"


@pytest.fixture
def url(simulator: Simulator) -> str:
    return SqsQueue(REGION).create_event_queue("apart").queue_url


@pytest.fixture
def process(url: str) -> Iterator[QueueProcess]:
    process = QueueProcess(REGION, url, 4, "WARNING")
    yield process
    process.close()


def received(process: QueueProcess, least: int) -> list[QueueMessage]:
    """As many as `least`, or what came in ten seconds."""
    messages: list[QueueMessage] = []
    deadline = time.monotonic() + 10
    while len(messages) < least and time.monotonic() < deadline:
        messages += process.receive() or []
    return messages


def read_all(process: QueueProcess) -> None:
    while True:
        process.receive()


def gone(url: str) -> bool:
    deadline = time.monotonic() + 10
    while SqsQueue(REGION).depth(url) and time.monotonic() < deadline:
        time.sleep(0.05)
    return SqsQueue(REGION).depth(url) == 0


def test_what_was_sent_is_received_and_gone_once_it_is_deleted(url: str, process: QueueProcess) -> None:
    bodies = {f"{number} ü \u2028" for number in range(12)}
    queue = SqsQueue(REGION)
    for body in bodies:
        queue.send_to(url, body)
    messages = received(process, 12)
    assert {message.body for message in messages} == bodies
    assert all(message.sent_at is not None and message.receives == 1 and message.id for message in messages)
    process.delete([message.receipt for message in messages])
    assert gone(url)


def test_what_came_before_it_was_stopped_may_still_be_read_and_deleted(
    url: str, process: QueueProcess
) -> None:
    SqsQueue(REGION).send_to(url, "early")
    [message] = received(process, 1)
    process.stop()
    while (messages := process.receive()) is not None:
        assert messages == []
    process.delete([message.receipt])
    assert gone(url)


def test_a_refusal_is_the_same_as_without(url: str) -> None:
    with pytest.raises(ProviderError) as without:
        SqsQueue(REGION).receive(url + "-absent", wait_seconds=0)
    process = QueueProcess(REGION, url + "-absent", 2, "WARNING")
    with pytest.raises(ProviderError) as apart:
        process.receive()
    process.close()
    assert str(apart.value) == str(without.value)
    assert (apart.value.code, apart.value.permanent) == (without.value.code, without.value.permanent)


def test_one_that_is_killed_is_begun_anew(url: str, process: QueueProcess) -> None:
    SqsQueue(REGION).send_to(url, "before")
    assert [message.body for message in received(process, 1)] == ["before"]
    assert process._child is not None
    killed = process._child.pid
    os.kill(killed, signal.SIGKILL)
    with pytest.raises(ProviderError, match="has ended"):
        read_all(process)
    SqsQueue(REGION).send_to(url, "after")
    process.receive()
    assert process._child is not None
    assert process._child.pid != killed


def test_it_ends_with_its_parent(url: str) -> None:
    parent = (
        "import sys, time\n"
        "from core.providers.queue_process import QueueProcess\n"
        "process = QueueProcess(sys.argv[1], sys.argv[2], 2, 'WARNING')\n"
        "process.receive()\n"
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
