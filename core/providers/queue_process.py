"""Queue process: SQS's client in a process of its own, for those who receive without end.

boto3 takes about twice as long over an event as all that becomes of it here. In the same process storing and
sending would wait for the interpreter meanwhile. It receives by itself and writes what came to its output, as
far ahead of its reader as a pipe holds; what is to be deleted it reads from its input. JSON, each after its
length.
"""

from __future__ import annotations

import fcntl
import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson

from core import logs
from core.errors import ProviderError
from core.providers.base import QueueMessage

ENDED_WITHIN_SECONDS = 10.0
WAIT_SECONDS = 2  # at SQS: so that a stop is quick
AFTER_A_FAULT_SECONDS = 1.0
PIPE_BYTES = 1 << 20
MEASURED_WITH, MEASURED_EVERY = 8, 512  # requests
ROOT = Path(__file__).parent.parent.parent
_LENGTH = struct.Struct(">I")

logger = logging.getLogger(__name__)


class QueueProcess:
    """One queue's. One thread receives, any may delete. It begins with the first `receive`, again when it has
    died, and ends with `close` or with its parent."""

    def __init__(self, region: str, queue_url: str, threads: int, log_level: str) -> None:
        self._arguments = [region, queue_url, str(threads), log_level]
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None

    def receive(self) -> list[QueueMessage] | None:
        """What came next, nothing after a while in which nothing did; None once it has stopped. Raises
        ProviderError for what SQS said instead."""
        child = self._running()
        frame = _read(_pipe(child.stdout))
        if frame is None:
            self._bury(child)
            raise ProviderError("The process that asks SQS has ended; it is begun anew.", permanent=False)
        told, fault = frame
        if fault is not None:
            raise ProviderError(fault[0], permanent=fault[1], code=fault[2])
        if told is None:
            return None
        return [
            QueueMessage(receipt, body, sent_at and datetime.fromisoformat(sent_at), receives, id_)
            for receipt, body, sent_at, receives, id_ in told
        ]

    def delete(self, receipts: list[str]) -> None:
        """Without waiting for it: what is not deleted comes again, and is known by then."""
        self._tell(receipts)

    def stop(self) -> None:
        """Receive no more: what has come may still be read, and deleted."""
        self._tell(None)

    def close(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            self._bury(child)

    def _running(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._child is None:
                self._child = subprocess.Popen(
                    [sys.executable, "-m", __name__, *self._arguments],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                    start_new_session=True,  # Ctrl-C is its parent's to act on
                )
                _widen(_pipe(self._child.stdout))
            return self._child

    def _tell(self, what: Any) -> None:
        with self._lock, suppress(OSError):  # it has died: nothing was lost but work
            if self._child is not None:
                _write(_pipe(self._child.stdin), what)

    def _bury(self, child: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if self._child is child:
                self._child = None
            with suppress(OSError):
                _pipe(child.stdin).close()
        try:
            child.wait(ENDED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        _pipe(child.stdout).close()


class _Turns:
    """As many requests at once as the machine can work on while one waits for its answer. Measured with one
    alone, and anew after a while: beside others each takes longer, which would seem to allow for more."""

    def __init__(self, most: int) -> None:
        self._most, self._allowed, self._at_work = most, 1, 0
        self._changed = threading.Condition()
        self._seconds: list[tuple[float, float]] = []  # elapsed, computed
        self._turns = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._at_work < self._allowed)
            self._at_work += 1
        begun, computed = time.monotonic(), time.thread_time()
        try:
            yield
        finally:
            spent = (time.monotonic() - begun, time.thread_time() - computed)
            with self._changed:
                self._at_work -= 1
                self._measure(*spent)
                self._changed.notify(max(1, self._allowed - self._at_work))

    def _measure(self, elapsed: float, computed: float) -> None:
        if self._turns % MEASURED_EVERY < MEASURED_WITH:
            self._allowed = 1
            self._seconds.append((elapsed, computed))
        elif self._seconds:
            quickest = min(elapsed for elapsed, _ in self._seconds)
            average = sum(computed for _, computed in self._seconds) / len(self._seconds)
            self._allowed = max(1, min(self._most, int(quickest / max(average, 1e-6))))
            self._seconds.clear()
        self._turns += 1


class _Child:
    """The process's own side."""

    def __init__(self, region: str, queue_url: str, threads: int) -> None:
        from core.providers.queue import SqsQueue

        self._url, self._threads = queue_url, threads
        self._sqs = SqsQueue(region, connections=2 * threads)
        self._turns, self._lock = _Turns(threads), threading.Lock()
        self._stopped = threading.Event()
        self._is_quiet = False  # nothing came: whoever waits then keeps nobody from working

    def run(self) -> None:
        receivers = [threading.Thread(target=self._receive, daemon=True) for _ in range(self._threads)]
        for receiver in receivers:
            receiver.start()
        with ThreadPoolExecutor(self._threads, "delete") as deleters:
            while (frame := _read(sys.stdin.buffer, ended=())) != ():
                if frame is None:
                    self._stopped.set()
                    threading.Thread(target=self._tell_end, args=(receivers,), daemon=True).start()
                else:
                    deleters.submit(self._delete, frame)

    def _receive(self) -> None:
        while not self._stopped.is_set():
            try:
                told = [_row(message) for message in self._received()]
            except ProviderError as e:
                self._tell(None, [str(e), e.permanent, e.code])
                self._stopped.wait(AFTER_A_FAULT_SECONDS)
            except Exception as e:
                logger.exception("SQS could not be asked")
                self._tell(None, [f"SQS could not be asked ({type(e).__name__}).", False, ""])
                self._stopped.wait(AFTER_A_FAULT_SECONDS)
            else:
                self._tell(told, None)

    def _received(self) -> list[QueueMessage]:
        if not self._is_quiet:
            with self._turns.one():
                messages = self._sqs.receive(self._url, wait_seconds=0)
            if messages:
                return messages
        messages = self._sqs.receive(self._url, wait_seconds=WAIT_SECONDS)
        self._is_quiet = not messages
        return messages

    def _delete(self, receipts: list[str]) -> None:
        try:
            with self._turns.one():
                self._sqs.delete(self._url, receipts)
        except ProviderError as e:
            logger.warning("events were stored but not deleted, SQS will bring them again: %s", e)

    def _tell_end(self, receivers: list[threading.Thread]) -> None:
        for receiver in receivers:
            receiver.join()
        self._tell(None, None)

    def _tell(self, told: Any, fault: Any) -> None:
        try:
            with self._lock:
                _write(sys.stdout.buffer, [told, fault])
        except OSError:
            os._exit(0)  # nobody reads any more


def _row(message: QueueMessage) -> list[Any]:
    return [message.receipt, message.body, message.sent_at, message.receives, message.id]


def _write(pipe: IO[bytes], frame: Any) -> None:
    body = orjson.dumps(frame)
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def _read(pipe: IO[bytes], ended: Any = None) -> Any:
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return ended
    return orjson.loads(pipe.read(_LENGTH.unpack(head)[0]))


def _widen(pipe: IO[bytes]) -> None:
    """A pipe holds three receives otherwise, and its reader has to wait for the interpreter (Linux)."""
    with suppress(AttributeError, OSError):
        fcntl.fcntl(pipe.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def main(region: str, queue_url: str, threads: int, log_level: str) -> None:
    """Until its input ends; its parent is gone then, or waits for nothing any more."""
    logs.to_stderr(log_level)
    _Child(region, queue_url, threads).run()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
