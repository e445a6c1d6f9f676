"""Measured processes, seen from the bench: started, waited for until they are ready, let go together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from bench.endpoint import ROOT, Endpoint
from bench.fill import REGION
from bench.stub import Options

DEADLINE_SECONDS = 300
LOOK_EVERY_SECONDS = 0.25
PUBLIC_URL = "https://mail.example.com"


@dataclass(frozen=True, slots=True)
class Done:
    """What one process told of its run, and what the stub saw of all of them."""

    done: int
    seconds: float
    cpu_seconds: float
    peak_kb: int
    stub: dict[str, Any]

    @property
    def per_second(self) -> float:
        return self.done / self.seconds

    @property
    def stub_share(self) -> float:
        """CPU of the stub per second of the run."""
        return float(self.stub["cpu_seconds"]) / self.seconds


@dataclass(frozen=True, slots=True)
class Run:
    shape: str  # of bench.runs
    database_url: str
    stub: Options = field(default_factory=Options)
    options: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    deadline_seconds: int = DEADLINE_SECONDS


def measured(endpoint: Endpoint, run: Run, enough: Callable[[], bool] | None = None) -> Done:
    """Start the processes, let them go at once, wait for their end; they stop early once it is `enough`."""
    with ExitStack() as stack:
        children = [stack.enter_context(_started(endpoint, run)) for _ in range(run.processes)]
        for child in children:
            _expect(child, "ready")
        endpoint.reset(run.stub)
        for child in children:
            _tell(child, "go")
        if enough is not None:
            while not enough() and any(child.poll() is None for child in children):
                time.sleep(LOOK_EVERY_SECONDS)
            for child in children:
                _tell(child, "stop")
        told = [json.loads(_expect(child, "{")) for child in children]
        stats = endpoint.stats()
    return Done(
        done=sum(each["done"] for each in told),
        seconds=max(each["seconds"] for each in told),
        cpu_seconds=sum(each["cpu_seconds"] for each in told),
        peak_kb=max(each["peak_kb"] for each in told),
        stub=stats,
    )


@contextmanager
def _started(endpoint: Endpoint, run: Run) -> Iterator[subprocess.Popen[str]]:
    with tempfile.TemporaryDirectory(prefix="postyard-bench-") as directory:
        options = {"deadline_seconds": run.deadline_seconds, **run.options}
        child = subprocess.Popen(
            [sys.executable, "-m", "bench.runs", run.shape, json.dumps(options)],
            cwd=ROOT,
            env=environment(endpoint, run.database_url, Path(directory)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield child
        except BaseException:
            child.kill()
            raise
        finally:
            child.communicate()


def environment(endpoint: Endpoint, database_url: str, directory: Path) -> dict[str, str]:
    """Of a process that sends to the stub, whatever is set where the bench runs."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "POSTYARD_"))
    }
    return inherited | {
        "AWS_ENDPOINT_URL": endpoint.url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        "POSTYARD_DATABASE_URL": database_url,
        "POSTYARD_DATA_DIR": str(directory),
        "POSTYARD_PUBLIC_URL": PUBLIC_URL,
        "POSTYARD_SECRET_KEY": "only-for-the-bench-only-for-the-bench",
        "POSTYARD_LOG_LEVEL": "WARNING",
    }


def _expect(child: subprocess.Popen[str], beginning: str) -> str:
    """The next line that begins so; a process that ends without has failed, and said why on stderr."""
    for line in _pipe(child.stdout):
        if line.startswith(beginning):
            return line
    raise SystemExit(f"a measured process ended with {child.wait()} before it said {beginning!r}")


def _tell(child: subprocess.Popen[str], word: str) -> None:
    pipe = _pipe(child.stdin)
    try:
        pipe.write(f"{word}\n")
        pipe.flush()
    except BrokenPipeError:
        pass  # it has ended by itself


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
