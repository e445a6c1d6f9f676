"""Deadline: an end for a whole conversation, however slowly the other side talks."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def cut_off(raw: socket.socket, ends_at: float) -> Iterator[None]:
    """Ends the connection at its time (time.monotonic), also while bytes drip in: a socket's own time-out
    begins anew with each of them."""
    same = raw.dup()  # TLS takes the first one over

    def cut() -> None:
        with suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(max(ends_at - time.monotonic(), 0.0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        same.close()
