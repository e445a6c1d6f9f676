"""Queue process: SQS's client in a process of its own, for those who receive without end.

boto3 takes about twice as long over an event as all that becomes of it here. In the same process storing and
sending would wait for the interpreter meanwhile. Requests and answers are JSON, each after its length.
"""

from __future__ import annotations

import logging
import os
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import orjson

from core import logs
from core.errors import ProviderError
from core.providers.base import QueueMessage

ANSWERED_WITHIN_SECONDS = 60.0  # beyond what a request waits at SQS by itself
ENDED_WITHIN_SECONDS = 5.0
REMEMBERED = 32  # requests
ROOT = Path(__file__).parent.parent.parent
_LENGTH = struct.Struct(">I")

logger = logging.getLogger(__name__)


class QueueProcess:
    """Receives and deletes as SqsQueue does. Safe for threads; the process begins with the first request,
    again when it has died, and ends with `close` or with its parent."""

    def __init__(self, region: str, threads: int, log_level: str) -> None:
        self._arguments = [region, str(threads), log_level]
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._waiting: dict[int, Future[Any]] = {}
        self._asked = 0

    def receive(self, queue_url: str, *, wait_seconds: int) -> list[QueueMessage]:
        """Raises ProviderError, as `delete` does."""
        told = self._ask(["receive", queue_url, wait_seconds]).result(wait_seconds + ANSWERED_WITHIN_SECONDS)
        return [
            QueueMessage(receipt, body, sent_at and datetime.fromisoformat(sent_at), receives, id_)
            for receipt, body, sent_at, receives, id_ in told
        ]

    def delete(self, queue_url: str, receipts: list[str]) -> None:
        self._ask(["delete", queue_url, receipts]).result(ANSWERED_WITHIN_SECONDS)

    def close(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return
        with suppress(BrokenPipeError):
            _pipe(child.stdin).close()
        try:
            child.wait(ENDED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _ask(self, request: list[Any]) -> Future[Any]:
        answer: Future[Any] = Future()
        with self._lock:
            child = self._running()
            self._asked += 1
            self._waiting[self._asked] = answer
            try:
                _write(_pipe(child.stdin), [self._asked, *request])
            except OSError as e:
                del self._waiting[self._asked]
                raise _lost() from e
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is None:
            return self._child
        self._child = subprocess.Popen(
            [sys.executable, "-m", __name__, *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            start_new_session=True,  # Ctrl-C is its parent's to act on
        )
        threading.Thread(target=self._hear, args=(self._child,), name="queue-answers", daemon=True).start()
        return self._child

    def _hear(self, child: subprocess.Popen[bytes]) -> None:
        """Its answers, until it ends; then nobody waits for it any more."""
        with _pipe(child.stdout) as answers:
            for number, told, fault in _frames(answers):
                with self._lock:
                    waiting = self._waiting.pop(number, None)
                if waiting is not None and fault is None:
                    waiting.set_result(told)
                elif waiting is not None:
                    message, permanent, code = fault
                    waiting.set_exception(ProviderError(message, permanent=permanent, code=code))
        with self._lock:
            lost, self._waiting = self._waiting, {}
        for each in lost.values():
            each.set_exception(_lost())
        child.wait()
        with suppress(OSError):
            _pipe(child.stdin).close()


class _Turns:
    """As many requests at once as the machine can work on while one waits for its answer."""

    def __init__(self, most: int) -> None:
        self._most, self._allowed, self._at_work = most, most, 0
        self._changed = threading.Condition()
        self._seconds: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # elapsed, computed

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
                self._seconds.append(spent)
                quickest = min(elapsed for elapsed, _ in self._seconds)
                average = sum(cpu for _, cpu in self._seconds) / len(self._seconds)
                self._allowed = max(1, min(self._most, int(quickest / max(average, 1e-6))))
                self._changed.notify_all()


def main(region: str, threads: int, log_level: str) -> None:
    """The process: until its input ends."""
    from core.providers.queue import SqsQueue

    logs.to_stderr(log_level)
    sqs, turns, lock = SqsQueue(region, connections=threads), _Turns(threads), threading.Lock()
    quiet: set[str] = set()  # queues that had nothing: whoever waits there keeps nobody from working

    def receive(url: str, wait_seconds: int) -> list[Any]:
        messages: list[QueueMessage] = []
        if url not in quiet:
            with turns.one():
                messages = sqs.receive(url, wait_seconds=0)
        if not messages:
            messages = sqs.receive(url, wait_seconds=wait_seconds)
            (quiet.discard if messages else quiet.add)(url)
        return [_row(message) for message in messages]

    def answer(number: int, operation: str, url: str, what: Any) -> None:
        told, fault = None, None
        try:
            if operation == "receive":
                told = receive(url, what)
            else:
                with turns.one():
                    sqs.delete(url, what)
        except ProviderError as e:
            fault = [str(e), e.permanent, e.code]
        except Exception as e:
            logger.exception("SQS could not be asked")
            fault = [f"SQS could not be asked ({type(e).__name__}).", False, type(e).__name__]
        with lock:
            _write(sys.stdout.buffer, [number, told, fault])

    pool = ThreadPoolExecutor(threads, "sqs")
    for request in _frames(sys.stdin.buffer):
        pool.submit(answer, *request)
    os._exit(0)  # its parent is gone, or waits for nothing any more


def _row(message: QueueMessage) -> list[Any]:
    return [message.receipt, message.body, message.sent_at, message.receives, message.id]


def _write(pipe: IO[bytes], frame: Any) -> None:
    body = orjson.dumps(frame)
    pipe.write(_LENGTH.pack(len(body)) + body)
    pipe.flush()


def _frames(pipe: IO[bytes]) -> Iterator[Any]:
    while len(head := pipe.read(_LENGTH.size)) == _LENGTH.size:
        body = pipe.read(_LENGTH.unpack(head)[0])
        yield orjson.loads(body)


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _lost() -> ProviderError:
    return ProviderError("The process that asks SQS has ended; it is begun anew.", permanent=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
