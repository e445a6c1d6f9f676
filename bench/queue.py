"""An SQS that only hands out what waits: of the stub, spoken to as boto3 speaks (AWS JSON 1.0)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from bench.events import bodies

Answer = tuple[int, Any]


class Queue:
    """In order, each once; what was received counts as waiting until it is deleted."""

    def __init__(self, messages: int, seed: int) -> None:
        self._waiting = [
            orjson.Fragment(
                orjson.dumps(
                    {
                        "MessageId": f"m{number}",
                        "ReceiptHandle": f"r{number}",
                        "Body": body,
                        "Attributes": {"SentTimestamp": "1732093204000", "ApproximateReceiveCount": "1"},
                    }
                )
            )
            for number, body in enumerate(bodies(messages, seed) if messages else ())
        ]
        self._received = self._deleted = 0
        self._first_at = self._last_at = 0.0
        self._operations: dict[str, Callable[[Any], Any]] = {
            "ReceiveMessage": self._receive,
            "DeleteMessageBatch": self._delete,
            "GetQueueAttributes": self._attributes,
        }

    def answer(self, operation: str, body: bytes) -> Answer:
        if operation not in self._operations:
            return 404, {"message": "This stub has no such operation."}
        return 200, self._operations[operation](orjson.loads(body))

    def stats(self) -> dict[str, Any]:
        """`seconds`: from the first receive to the last delete."""
        return {"deleted": self._deleted, "seconds": self._last_at - self._first_at}

    def _receive(self, request: Any) -> Any:
        if not self._received:
            self._first_at = time.monotonic()
        given = self._waiting[self._received : self._received + request["MaxNumberOfMessages"]]
        self._received += len(given)
        return {"Messages": given} if given else {}

    def _delete(self, request: Any) -> Any:
        entries = request["Entries"]
        self._deleted += len(entries)
        self._last_at = time.monotonic()
        return {"Successful": [{"Id": entry["Id"]} for entry in entries]}

    def _attributes(self, _request: Any) -> Any:
        counts = {
            "ApproximateNumberOfMessages": len(self._waiting) - self._received,
            "ApproximateNumberOfMessagesNotVisible": self._received - self._deleted,
        }
        return {"Attributes": {name: str(count) for name, count in counts.items()}}
