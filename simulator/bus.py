"""What is used of MiniStack: its ASGI app, publishing without HTTP, its state saved and emptied.

The only module that knows MiniStack's inside; tests/contract/test_simulator_events.py and
test_simulator_persistence.py hold it to the pinned version.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable
from typing import Any

from ministack import app as ministack
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict, request_scope
from ministack.services import eventbridge, sns, sqs

from simulator.settings import ACCOUNT_ID
from simulator.store import Store

log = logging.getLogger(__name__)

app = ministack.app
SUBJECT = "Amazon SES Email Event Notification"
FEW = 200  # messages per queue that every save includes
_SERVICES = {"sns": sns, "sqs": sqs, "eventbridge": eventbridge}

Queue = dict[str, Any]


class Bus:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._saved: dict[str, bytes] = {}
        self.changed = False  # topics, queues or their messages, since the last save

    def topic_exists(self, arn: str) -> bool:
        return self._topic(arn) is not None

    def queues_of(self, topic_arn: str) -> list[Queue]:
        """The SQS queues subscribed to a topic."""
        topic = self._topic(topic_arn)
        if topic is None:
            return []
        found = (sqs._queue_by_arn(sub["endpoint"]) for sub in topic["subscriptions"])
        return [queue for queue in found if queue is not None]

    def queue_named(self, url: str) -> Queue | None:
        name = url.rstrip("/").rpartition("/")[2]
        return next((queue for queue in _queues() if queue["name"] == name), None)

    def publish(self, topic_arn: str, message: str, at: float, subject: str = SUBJECT) -> list[str]:
        """SNS publish without HTTP, as of `at` (real time). Returns the ids that SQS gave it."""
        queues = self.queues_of(topic_arn)
        lengths = [len(queue["messages"]) for queue in queues]
        _, _, _, region, account, _ = topic_arn.split(":", 5)
        with request_scope(account, region):
            sns.publish_internal(topic_arn, message, subject)
        ids = []
        for queue, length in zip(queues, lengths, strict=True):
            for row in queue["messages"][length:]:
                row["sent_at"] = at
                row["sys"]["SentTimestamp"] = str(int(at * 1000))
                ids.append(row["id"])
        return ids

    def put_event(self, region: str, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
        """Onto the default bus of EventBridge, as AWS does by itself."""
        entry = {
            "Source": "aws.ses",
            "DetailType": detail_type,
            "Resources": resources,
            "Detail": json.dumps(detail),
        }
        with request_scope(ACCOUNT_ID, region):
            eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        self.changed = True  # a rule may have put it into a queue, which from then on keeps it

    def waiting(self) -> set[str]:
        """Ids of every message in any queue, received or not."""
        return {message["id"] for queue in _queues() for message in queue["messages"]}

    def save(self, outbox: Iterable[str], *, whole: bool = False) -> None:
        """Topics, subscriptions, queues, rules. Of the queues' messages what the outbox does not keep itself,
        while they are few; `whole`: however many."""
        kept_elsewhere = frozenset(outbox)
        for name, service in _SERVICES.items():
            state = _queue_state(kept_elsewhere, whole) if service is sqs else service.get_state()
            body = json.dumps(state, default=persistence._json_default).encode()
            if self._saved.get(name) != body:
                self._saved[name] = body
                self._store.put("ministack", name, body)

    def load(self, name: str, body: bytes) -> None:
        _SERVICES[name].load_persisted_state(json.loads(body, object_hook=persistence._json_object_hook))
        self._saved[name] = body

    def clear(self) -> None:
        for service in _SERVICES.values():
            service.reset()
        self._saved.clear()

    def _topic(self, arn: str) -> dict[str, Any] | None:
        parts = arn.split(":")
        if len(parts) < 6 or parts[2] != "sns":
            return None
        topic: dict[str, Any] | None = sns._topics.get_scoped(parts[4], parts[3], arn)
        return topic


def _queue_state(kept_elsewhere: frozenset[str], whole: bool) -> dict[str, Any]:
    """What sqs.get_state gives, without copying every message first."""
    queues = {}
    for key, queue in sqs._queues.all_items():
        own = [row for row in queue["messages"] if row["id"] not in kept_elsewhere]
        queues[key] = {**queue, "messages": own if whole or len(own) <= FEW else []}
    return {
        "queues": AccountRegionScopedDict.from_dict(queues),
        "queue_name_to_url": sqs._queue_name_to_url,
    }


def visible(queue: Queue) -> int:
    now = time.time()
    return sum(1 for message in queue["messages"] if message["visible_at"] <= now)


def _queues() -> list[Queue]:
    return list(sqs._queues.all_values())
