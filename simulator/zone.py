"""What the simulated internet's zones hold: RRsets that the control API puts, and what every zone has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import orjson
from publicsuffixlist import PublicSuffixList

from simulator.errors import ControlError

if TYPE_CHECKING:
    from simulator.store import Store

TTL = 60
MAX_TTL = 2**31 - 1
CNAME_STEPS = 16
SERVER_ADDRESS = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class RRset:
    values: tuple[str, ...]
    ttl: int = TTL


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a question leads to: the aliases on the way, the name they end at, its records if it has any."""

    aliases: tuple[tuple[str, RRset], ...]
    name: str
    found: RRset | None
    exists: bool  # the last name, with whatever types
    endless: bool = False  # the aliases lead back to where they were

    @property
    def values(self) -> tuple[str, ...]:
        return self.found.values if self.found else ()


class Zone:
    """RRsets by name and type, names in lower case. A registrable domain with a record anywhere below it is
    a zone; so is every name that a SOA was put at; above them are the registries' zones, which are empty."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._names: dict[str, dict[str, RRset]] = {}
        self._below: dict[str, int] = {}  # how many names with records are at or below a name

    def load(self, key: str, body: bytes) -> None:
        name, _, kind = key.partition(" ")
        held = orjson.loads(body)
        rrset = RRset(tuple(held)) if isinstance(held, list) else RRset(tuple(held["values"]), held["ttl"])
        self._keep(name, kind, rrset)

    def clear(self) -> None:
        self._names.clear()
        self._below.clear()

    def put(self, records: Iterable[dict[str, Any]]) -> None:
        """Entries of one name and type together become its RRset; what it held before is gone."""
        grouped: dict[tuple[str, str], list[str]] = {}
        ttls: dict[tuple[str, str], int] = {}
        for record in records:
            key = record_key(record)
            value = presented(key[1], record.get("value"))
            values = grouped.setdefault(key, [])
            if value not in values:
                values.append(value)
            ttls[key] = min(ttls.get(key, MAX_TTL), seconds_to_live(record))
        for (name, kind), values in grouped.items():
            self._put(name, kind, RRset(tuple(values), ttls[name, kind]))

    def remove(self, records: Iterable[dict[str, Any]]) -> None:
        """The whole RRset, or only the value when one is given."""
        for record in list(records):
            name, kind = record_key(record)
            held = self._names.get(name, {}).get(kind)
            if held is None:
                continue
            value = record.get("value")
            gone = None if value in (None, "") else presented(kind, value)
            left = tuple(each for each in held.values if gone is not None and each != gone)
            if left:
                self._put(name, kind, RRset(left, held.ttl))
            else:
                self._drop(name, kind)

    def listed(self) -> list[dict[str, Any]]:
        return [
            {"type": kind, "name": name, "value": value, "ttl": rrset.ttl}
            for name, rrsets in sorted(self._names.items())
            for kind, rrset in sorted(rrsets.items())
            for value in rrset.values
        ]

    def apex(self, name: str) -> str:
        """Of the zone a name is in."""
        for suffix in _suffixes(name):
            if "SOA" in self._names.get(suffix, ()):
                return suffix
        domain, registry = _registration(name)
        return domain if self._below.get(domain) else registry

    def lookup(self, name: str, kind: str) -> RRset | None:
        """What is answered for a name, without following aliases: its own, a wildcard's, or what every zone
        has by itself."""
        owner = self.owner(name)
        held = self._names.get(owner, {}).get(kind) if owner is not None else None
        return held or self._of_any_zone(name, kind)

    def owner(self, name: str) -> str | None:
        """Whose records are a name's: its own when it exists, else those of the wildcard at its closest
        encloser (RFC 4592), else nobody's."""
        if self._exists(name):
            return name
        apex = self.apex(name)
        for encloser in _suffixes(name):
            if encloser != name and self._exists(encloser):
                wildcard = f"*.{encloser}"
                return wildcard if wildcard in self._names else None
            if encloser == apex:
                break
        return None

    def types_at(self, name: str) -> list[str]:
        owner = self.owner(name)
        return [] if owner is None else list(self._names.get(owner, ()))

    def resolve(self, name: str, kind: str) -> Resolution:
        """A question with its aliases followed, as far as they lead."""
        at = folded(name)
        aliases: list[tuple[str, RRset]] = []
        while len(aliases) < CNAME_STEPS:
            found = self.lookup(at, kind)
            alias = None if found or kind == "CNAME" else self.lookup(at, "CNAME")
            if alias is None:
                return Resolution(tuple(aliases), at, found, self.owner(at) is not None)
            if any(at == before for before, _ in aliases):
                break
            aliases.append((at, alias))
            at = folded(alias.values[0])
        return Resolution(tuple(aliases), at, None, exists=True, endless=True)

    def values(self, name: str, kind: str) -> tuple[str, ...]:
        return self.resolve(name, kind).values

    def soa(self, apex: str) -> RRset:
        return self.lookup(apex, "SOA") or RRset((_soa(apex),))

    def authority(self, name: str) -> str | None:
        """The SOA of the zone a name is in; None when nobody has put a record into any."""
        apex = self.apex(name)
        return self.soa(apex).values[0] if self._below.get(apex) else None

    def _exists(self, name: str) -> bool:
        """Whether there is a record at this name or below it, or every zone has one there."""
        return self._below.get(name, 0) > 0 or bool(self._of_any_zone(name, "SOA")) or self._is_server(name)

    def _is_server(self, name: str) -> bool:
        return self._of_any_zone(name, "A") is not None

    def _of_any_zone(self, name: str, kind: str) -> RRset | None:
        apex = self.apex(name)
        if name == apex and kind in ("SOA", "NS"):
            text = [_soa(apex)] if kind == "SOA" else list(_servers(apex))
            return RRset(tuple(text))
        if kind == "A" and f"{name}." in _servers(apex):
            return RRset((SERVER_ADDRESS,))
        return None

    def _put(self, name: str, kind: str, rrset: RRset) -> None:
        self._keep(name, kind, rrset)
        self._store.put(
            "dns", f"{name} {kind}", orjson.dumps({"values": list(rrset.values), "ttl": rrset.ttl})
        )

    def _keep(self, name: str, kind: str, rrset: RRset) -> None:
        if name not in self._names:
            self._count(name, 1)
        self._names.setdefault(name, {})[kind] = rrset

    def _drop(self, name: str, kind: str) -> None:
        del self._names[name][kind]
        if not self._names[name]:
            del self._names[name]
            self._count(name, -1)
        self._store.remove("dns", f"{name} {kind}")

    def _count(self, name: str, change: int) -> None:
        for suffix in _suffixes(name):
            self._below[suffix] = self._below.get(suffix, 0) + change


def folded(name: str) -> str:
    return name.rstrip(".").lower()


def _suffixes(name: str) -> Iterator[str]:
    """acme-mail.io: acme-mail.io, io."""
    labels = name.split(".")
    return (".".join(labels[start:]) for start in range(len(labels)))


@cache
def _public_suffixes() -> PublicSuffixList:
    return PublicSuffixList(only_icann=True)


@lru_cache(10_000)
def _registration(name: str) -> tuple[str, str]:
    """(domain somebody registers, registry's zone): of www.acme.co.uk, acme.co.uk and co.uk."""
    plain = name.removeprefix("*.")
    registry = _public_suffixes().publicsuffix(plain) or plain
    return _public_suffixes().privatesuffix(plain) or registry, registry


def _servers(apex: str) -> tuple[str, str]:
    return f"ns1.{apex}.", f"ns2.{apex}."


def _soa(apex: str) -> str:
    return f"ns1.{apex}. hostmaster.{apex}. 2026010101 7200 900 1209600 {TTL}"


def record_key(record: Any) -> tuple[str, str]:
    """(name, type) of a record as the control API is given it."""
    if not isinstance(record, dict) or not record.get("name") or not record.get("type"):
        raise ControlError('A DNS record is an object with "type", "name" and "value".')
    name, kind = folded(str(record["name"])), str(record["type"]).upper()
    try:
        dns.name.from_text(name)
        dns.rdatatype.from_text(kind)
    except dns.exception.DNSException as e:
        raise ControlError(f"{kind} {name} is not a DNS name and type: {e}.") from None
    return name, kind


def seconds_to_live(record: dict[str, Any]) -> int:
    ttl = record.get("ttl", TTL)
    if isinstance(ttl, bool) or not isinstance(ttl, int) or not 0 <= ttl <= MAX_TTL:
        raise ControlError("A DNS record's ttl is a whole number of seconds from 0.")
    return ttl


def presented(kind: str, value: Any) -> str:
    """In presentation form, checked by dnspython; a TXT value may come with or without its quotes."""
    if not isinstance(value, str) or not value.strip():
        raise ControlError(f'The {kind} record has no "value".')
    text = value.strip()
    if kind == "TXT" and not text.startswith('"'):
        text = " ".join(_quoted(text[at : at + 255]) for at in range(0, len(text), 255))
    elif kind in ("CNAME", "NS") and not text.endswith("."):
        text += "."
    elif kind == "MX" and not text.endswith("."):
        text = f"10 {text}." if " " not in text else text + "."
    try:
        kept = dns.rdatatype.from_text(kind)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kept, text, dns.name.root, relativize=False)
    except dns.exception.DNSException as e:
        raise ControlError(f"{value!r} is not the value of a {kind} record: {e}.") from None
    return rdata.to_text()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
