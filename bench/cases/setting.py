"""What every case gets: the stub, a place for databases, how often to measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.databases import Place
from bench.endpoint import Endpoint
from bench.table import Row


@dataclass(frozen=True, slots=True)
class Setting:
    endpoint: Endpoint
    place: Place
    rounds: int
    quick: bool = False  # what takes minutes is cut short
    profile: bool = False

    @property
    def is_sqlite(self) -> bool:
        return self.place.kind == "sqlite"

    @property
    def workers(self) -> int:
        """SQLite takes one process that sends; on PostgreSQL several share everything."""
        return 1 if self.is_sqlite else 3


Case = Callable[[Setting], Iterable[Row]]
