"""Faults of the DNS server: who gets no answer, a refusal, or what was true yesterday."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import dns.exception
import dns.rdatatype

from simulator.errors import ControlError
from simulator.zone import folded, presented, seconds_to_live

SILENT = "silent"
REFUSE = "refuse"
SERVFAIL = "servfail"
TRUNCATE = "truncate"
STALE = "stale"
KINDS = (SILENT, REFUSE, SERVFAIL, TRUNCATE, STALE)
ANY = "*"
STALE_TTL = 3600
_MEMBERS = frozenset({"kind", "name", "type", "tcp", "values", "ttl"})


@dataclass(frozen=True, slots=True)
class DnsFault:
    """Strikes the names at and below `name`; a stale one strikes exactly its name. `values`: what a stale
    cache still holds, nothing at all when empty."""

    kind: str
    name: str = ANY
    type: str = ANY
    tcp: bool = True  # truncate: the whole answer is there over TCP
    values: tuple[str, ...] = ()
    ttl: int = STALE_TTL

    @classmethod
    def from_json(cls, value: Any) -> DnsFault:
        if not isinstance(value, dict) or value.get("kind") not in KINDS:
            raise ControlError(f"A DNS fault is an object whose kind is one of {', '.join(KINDS)}.")
        if unknown := set(value) - _MEMBERS:
            raise ControlError(
                f"A DNS fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(_MEMBERS))}."
            )
        kind = _type(value.get("type", ANY))
        values = value.get("values", [])
        if not isinstance(values, list) or (values and kind == ANY):
            raise ControlError("A stale fault's values are a list, and their type is given.")
        return cls(
            kind=value["kind"],
            name=folded(str(value.get("name", ANY))),
            type=kind,
            tcp=value.get("tcp") is not False,
            values=tuple(presented(kind, each) for each in values),
            ttl=seconds_to_live({"ttl": value.get("ttl", STALE_TTL)}),
        )

    def strikes(self, name: str, kind: str, *, recursive: bool) -> bool:
        if self.type not in (ANY, kind):
            return False
        if self.kind == STALE:
            return recursive and self.name in (ANY, name)
        return self.name == ANY or name == self.name or name.endswith(f".{self.name}")


def _type(text: Any) -> str:
    kind = str(text).upper()
    try:
        return kind if kind == ANY else dns.rdatatype.to_text(dns.rdatatype.from_text(kind))
    except dns.exception.DNSException:
        raise ControlError(f'{text} is not a DNS record type; "*" means every type.') from None


class DnsFaults:
    """Until they are cleared; the first that strikes counts."""

    def __init__(self) -> None:
        self._set: list[DnsFault] = []

    def replace(self, faults: Iterable[DnsFault]) -> None:
        self._set = list(faults)

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._set]

    def strike(self, name: str, kind: str, *, recursive: bool) -> DnsFault | None:
        return next((fault for fault in self._set if fault.strikes(name, kind, recursive=recursive)), None)

    def unanswered(self, name: str, kind: str) -> bool:
        """Whether nobody is told, however they ask: SES asks anew each time, and over TCP too."""
        fault = self.strike(folded(name), kind, recursive=False)
        return fault is not None and (fault.kind != TRUNCATE or not fault.tcp)
