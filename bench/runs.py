"""One measured run, in a process of its own: `python -m bench.runs SHAPE OPTIONS`, started by bench.children.

It says "ready" when all that a process does once is done, and waits for a line; a further line, or the end of
its input, stops it early. Its last line is JSON: what it did, in how long, with how much CPU and memory.
"""

from __future__ import annotations

import gc
import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from sqlalchemy import select

from bench import fill, ingest_runs, mail, profiling
from core.app import App, build_app
from core.db.models import Message
from core.db.states import MessageStatus
from core.providers import ses_mail
from core.providers.ses import sending_config

Work = Callable[[threading.Event], int]
Shape = Callable[[App, dict[str, Any]], Work]
READ_TIMEOUT_SECONDS = 15.0


def pipeline(app: App, options: dict[str, Any]) -> Work:
    """The product's own sending loop, until nothing is left that could go out."""
    from core import sending  # the others measure without it

    app.providers.email(fill.REGION)
    if options.get("warm"):
        sending.work(app, threading.Event(), until_idle=True)
        fill.send_drafts(app.db)

    def work(stop: threading.Event) -> int:
        with profiling.shown(app.db.engine) if options.get("profile") else profiling.nothing():
            return int(sending.work(app, stop, until_idle=True).split()[0])

    return work


def raw(app: App, options: dict[str, Any]) -> Work:
    """SendBulkEmail and nothing else, with the product's client settings; each call's request is made from
    its recipients' fields, as whoever sends must."""
    mails = mail.bulk_mails(app, options["recipients"])
    threads = options["threads"]
    client = _client(threads)

    def send(each: Any) -> int:
        results = client.send_bulk_email(**ses_mail.bulk_request(each))["BulkEmailEntryResults"]
        return sum(result["Status"] == "SUCCESS" for result in results)

    send(next(mail.bulk_mails(app, 50)))
    return lambda stop: sum(_on_threads(threads, send, mails))


def one_each(app: App, options: dict[str, Any]) -> Work:
    """One SendEmail for each recipient on several threads: the shape of the Node products, without their
    database."""
    threads = options["threads"]
    client = _client(threads)

    def send(number: int) -> int:
        client.send_email(**_simple_mail(number))
        return 1

    send(1)
    return lambda stop: sum(_on_threads(threads, send, range(1, options["recipients"] + 1)))


def small_app(app: App, options: dict[str, Any]) -> Work:
    """What a small application does: one mail after the other, its row loaded, changed and committed."""
    client = boto3.client("sesv2", region_name=fill.REGION)
    client.send_email(**_simple_mail(1))
    with app.db.read() as session:
        ids = session.scalars(select(Message.id).order_by(Message.id).limit(options["recipients"])).all()

    def work(_stop: threading.Event) -> int:
        for message_id in ids:
            with app.db.begin() as session:
                message = session.get_one(Message, message_id)
                answer = client.send_email(**_simple_mail(message_id))
                message.status = MessageStatus.SENT
                message.provider_message_id = answer["MessageId"]
                message.sent_at = datetime.now(UTC)
        return len(ids)

    return work


SHAPES: dict[str, Shape] = {
    "pipeline": pipeline,
    "raw": raw,
    "one_each": one_each,
    "small_app": small_app,
    "poll": ingest_runs.poll,
    "receive": ingest_runs.receive,
    "blocks": ingest_runs.blocks,
    "one_by_one": ingest_runs.one_by_one,
}


def main() -> int:
    shape, options = sys.argv[1], json.loads(sys.argv[2])
    signal.alarm(options["deadline_seconds"])  # its default action ends the process: nothing is left running
    app = build_app()
    work = SHAPES[shape](app, options)
    gc.collect()
    gc.freeze()  # as scheduler.py does
    print("ready", flush=True)
    sys.stdin.readline()
    stop = threading.Event()
    threading.Thread(target=_stop_when_told, args=(stop,), daemon=True).start()
    cpu, begun = time.process_time(), time.perf_counter()
    done = work(stop)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    told = {"done": done, "seconds": seconds, "cpu_seconds": cpu, "peak_kb": peak_kb()}
    print(json.dumps(told), flush=True)
    app.db.dispose()
    return 0


def _stop_when_told(stop: threading.Event) -> None:
    sys.stdin.readline()
    stop.set()


def peak_kb() -> int:
    """Most memory that was resident. Linux's getrusage counts what the parent had before exec as well; the
    kernel's own mark of this address space does not."""
    status = Path("/proc/self/status")
    if status.exists():
        marks = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(next(marks).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _client(threads: int) -> Any:
    return boto3.client(
        "sesv2", region_name=fill.REGION, config=sending_config(threads + 4, READ_TIMEOUT_SECONDS)
    )


def _on_threads(threads: int, send: Callable[[Any], int], items: Any) -> Iterator[int]:
    if threads == 1:
        return map(send, items)
    with ThreadPoolExecutor(threads) as pool:
        return iter(list(pool.map(send, items)))


def _simple_mail(number: int) -> dict[str, Any]:
    subject, html, text = mail.rendered(number)
    return {
        "FromEmailAddress": '"Shop 1" <news@shop1.acme-mail.io>',
        "Destination": {"ToAddresses": [mail.address(number)]},
        "ConfigurationSetName": "postyard-shop1",
        "Content": {
            "Simple": {
                "Subject": {"Data": subject},
                "Body": {"Html": {"Data": html}, "Text": {"Data": text}},
            }
        },
    }


if __name__ == "__main__":
    sys.exit(main())
