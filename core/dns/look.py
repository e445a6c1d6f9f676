"""One look at DNS for one check: what was asked is remembered as long as the look, and no longer; everything
ends by its deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from core.dns import wire
from core.dns.addresses import is_public
from core.dns.answers import Answer, Reply, plain, read
from core.dns.unanswered import NO_RESOLVER, of_resolvers, of_zone
from core.dns.wire import Deadline, Server, Unanswered, Why

PARALLEL = 16
MOST_SERVERS = 4  # of a zone's, in the order of their names
MOST_STEPS = 4  # from one zone down into another, or along a CNAME out of a zone

_Told = tuple[Server, Answer | Unanswered]
_Question = tuple[str, str]  # name, type


@dataclass(frozen=True, slots=True)
class View:
    """What some of a zone's servers say, in the same words."""

    answer: Answer
    servers: tuple[Server, ...]


class Look:
    """`resolvers` are asked for recursion. The zone's own servers, on `port`, are found with them, except
    where `fixed`: then the same servers are asked as if they were the zone's. `may_ask`: whether a domain may
    send us to an address. Use as a context."""

    def __init__(
        self,
        domain: str,
        resolvers: Sequence[Server],
        *,
        fixed: bool,
        seconds: float,
        may_ask: Callable[[str], bool] = is_public,
        port: int = 53,
    ) -> None:
        self.domain = domain
        self.zone = domain
        self.registered = True
        self._resolvers = tuple(resolvers)
        self._fixed = fixed
        self._may_ask = may_ask
        self._port = port
        self._deadline = Deadline(seconds)
        self._pool = ThreadPoolExecutor(PARALLEL, thread_name_prefix="dns")
        self._servers: tuple[Server, ...] = self._resolvers if fixed else ()
        self._silent: set[Server] = set()
        self._heard: set[Server] = set()
        self._of_zones: dict[dns.name.Name, tuple[Server, ...]] = {}
        self._own: dict[_Question, list[Future[_Told]]] = {}
        self._recursive: dict[_Question, Future[Answer]] = {}

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)

    @property
    def is_over(self) -> bool:
        """Nobody is asked any more, and what has not been judged must not take more time."""
        return self._deadline.left() <= 0

    def find_zone(self, registrable: str) -> None:
        """Which zone the domain is in, and its servers. `registrable`: what its owner registered."""
        names = _up_to(self.domain, registrable)
        answers = self._whom_to_ask((name, "NS") for name in names)
        if not answers[-1].exists and not answers[-1].error:
            self.registered = False
        for name, answer in zip(names, answers, strict=True):
            if answer.values and not answer.alias:
                self.zone = name
                self._servers = self._servers or self._addresses_of(answer.values)
                return
        self.zone = registrable

    def ask(self, name: str, kind: str) -> Answer:
        """Of the zone's own servers, or for a name elsewhere of the resolvers."""
        return self.ask_all([(name, kind)])[0]

    def begin(self, questions: Iterable[_Question]) -> None:
        """Have them asked, without waiting."""
        for name, kind in questions:
            self._begin(name, kind)

    def ask_all(self, questions: Iterable[_Question]) -> list[Answer]:
        asked = list(questions)
        self.begin(asked)
        return [self.views(name, kind)[0].answer for name, kind in asked]

    def views(self, name: str, kind: str) -> list[View]:
        """One where the servers agree, as they should; never none."""
        if not self._is_own(name):
            return [View(self.ask_resolvers(name, kind), self._resolvers)]
        told = [future.result() for future in self._begin(name, kind)]
        answers: dict[tuple[object, ...], View] = {}
        for server, answer in told:
            if isinstance(answer, Answer):
                words = (answer.values, answer.alias, answer.error)
                servers = answers[words].servers if words in answers else ()
                answers[words] = View(answer, (*servers, server))
        certain = [view for view in answers.values() if view.answer.error is None]
        return certain or list(answers.values()) or [self._without_answer(name, kind, told)]

    def ask_resolvers(self, name: str, kind: str) -> Answer:
        return self._remember_recursive(name, kind).result()

    def resolver_answers(self, questions: Iterable[_Question]) -> list[Answer]:
        futures = [self._remember_recursive(name, kind) for name, kind in questions]
        return [future.result() for future in futures]

    def _begin(self, name: str, kind: str) -> list[Future[_Told]]:
        if not self._is_own(name):
            self._remember_recursive(name, kind)
            return []
        question = (name.lower(), kind)
        if question not in self._own:
            self._own[question] = [
                self._pool.submit(self._tell, server, name, kind) for server in self._servers
            ]
        return self._own[question]

    def _remember_recursive(self, name: str, kind: str) -> Future[Answer]:
        question = (name.lower(), kind)
        if question not in self._recursive:
            self._recursive[question] = self._pool.submit(self._resolve, name, kind)
        return self._recursive[question]

    def _whom_to_ask(self, questions: Iterable[_Question]) -> list[Answer]:
        """Where the servers are: broken DNSSEC must not hide them, it is the records it is told of."""
        asked = list(questions)
        if self._fixed:
            return self.ask_all(asked)
        futures = [self._pool.submit(self._resolve, name, kind, unchecked=True) for name, kind in asked]
        return [future.result() for future in futures]

    def _is_own(self, name: str) -> bool:
        if self._fixed:
            return True
        at = name.lower().rstrip(".")
        return bool(self._servers) and (at == self.zone or at.endswith(f".{self.zone}"))

    def _tell(self, server: Server, name: str, kind: str) -> _Told:
        """Runs in the pool, and so never waits for the pool."""
        try:
            return server, self._follow((server,), _name(name), kind, steps=MOST_STEPS)
        except _NoSuchNameError:
            return server, Answer(exists=False)
        except Unanswered as e:
            return server, e

    def _follow(self, servers: Sequence[Server], name: dns.name.Name, kind: str, *, steps: int) -> Answer:
        """Down into a zone that is delegated further, and along a CNAME that leads out of the zone."""
        message = self._own_message(servers, name, kind)
        below = _delegated(message, name)
        if below is not None and steps:
            return self._follow(self._servers_below(message, below), name, kind, steps=steps - 1)
        reply = read(message)
        if not reply.authoritative and not self._fixed:
            raise Unanswered(Why.LAME)
        return self._complete(reply, kind, steps=steps - 1)

    def _complete(self, reply: Reply, kind: str, *, steps: int) -> Answer:
        if reply.further is None or steps < 0:
            return reply.answer
        if self._is_own(plain(reply.further)):
            target = self._follow(self._servers, reply.further, kind, steps=steps)
        else:
            target = self._resolve(plain(reply.further), kind)
        return replace(reply.answer, values=target.values, error=target.error, failed=target.failed)

    def _own_message(
        self, servers: Sequence[Server], name: dns.name.Name, kind: str
    ) -> dns.message.QueryMessage:
        """Without recursion; of a fixed server that is only a resolver, with it."""
        try:
            message = self._first(servers, name, kind, recurse=False)
        except Unanswered as e:
            if not self._fixed or e.why is not Why.REFUSED:
                raise
            return self._first(servers, name, kind, recurse=True)
        if self._fixed and not read(message).authoritative:
            return self._first(servers, name, kind, recurse=True)
        return message

    def _first(
        self,
        servers: Sequence[Server],
        name: dns.name.Name,
        kind: str,
        *,
        recurse: bool,
        unchecked: bool = False,
    ) -> dns.message.QueryMessage:
        """Of the first server that answers."""
        failure = Unanswered(Why.UNREACHABLE)
        for server in servers:
            if server in self._silent:
                failure = Unanswered(Why.SILENT)
                continue
            try:
                message = wire.ask(
                    server, name, kind, recurse=recurse, unchecked=unchecked, deadline=self._deadline
                )
            except Unanswered as e:
                failure = e
                self._note(server, e.why, recurse=recurse)
            else:
                self._heard.add(server)
                return message
        raise failure

    def _note(self, server: Server, why: Why, *, recurse: bool) -> None:
        """A zone's server that never says anything is not waited for again; a resolver may be slow over one
        name and quick over the next."""
        if why is Why.SILENT and not recurse and server not in self._heard:
            self._silent.add(server)

    def _resolve(self, name: str, kind: str, *, unchecked: bool = False) -> Answer:
        """With recursion. Runs in the pool, and so never waits for the pool."""
        if not self._resolvers:
            return Answer(error=NO_RESOLVER)
        try:
            message = self._first(self._resolvers, _name(name), kind, recurse=True, unchecked=unchecked)
            return read(message).answer
        except _NoSuchNameError:
            return Answer(exists=False)
        except Unanswered as e:
            return of_resolvers(e, name)

    def _without_answer(self, name: str, kind: str, told: Sequence[_Told]) -> View:
        """Many networks let nobody but their resolver ask the world: then what it says must do."""
        servers = tuple(server for server, _ in told)
        reasons = {each.why: each for _, each in told if isinstance(each, Unanswered)}
        if not self._fixed and not set(reasons) - {Why.SILENT, Why.UNREACHABLE}:
            return View(self.ask_resolvers(name, kind), self._resolvers)
        first = next(reasons[why] for why in Why if why in reasons)
        return View(of_zone(first, self.zone, servers), servers)

    def _servers_below(self, message: dns.message.QueryMessage, zone: dns.name.Name) -> tuple[Server, ...]:
        if zone not in self._of_zones:
            names = [
                plain(rdata.target)
                for rrset in message.authority
                if rrset.name == zone and rrset.rdtype == dns.rdatatype.NS
                for rdata in rrset
            ]
            names = sorted(names)[:MOST_SERVERS]
            answers = [self._resolve(name, "A", unchecked=True) for name in names]
            self._of_zones[zone] = self._allowed(names, answers)
        if not self._of_zones[zone]:
            raise Unanswered(Why.UNREACHABLE)
        return self._of_zones[zone]

    def _addresses_of(self, names: Iterable[str]) -> tuple[Server, ...]:
        chosen = sorted(names)[:MOST_SERVERS]
        old = self._allowed(chosen, self._whom_to_ask((name, "A") for name in chosen))
        return old or self._allowed(chosen, self._whom_to_ask((name, "AAAA") for name in chosen))

    def _allowed(self, names: Iterable[str], answers: Iterable[Answer]) -> tuple[Server, ...]:
        """The first address of each."""
        firsts = [
            (name, answer.values[0]) for name, answer in zip(names, answers, strict=True) if answer.values
        ]
        return tuple(Server(address, self._port, name) for name, address in firsts if self._may_ask(address))


class _NoSuchNameError(Exception):
    """What was asked for cannot be a name in DNS."""


def _name(written: str) -> dns.name.Name:
    try:
        return dns.name.from_text(written)
    except (dns.exception.DNSException, UnicodeError) as e:
        raise _NoSuchNameError from e


def _delegated(message: dns.message.QueryMessage, name: dns.name.Name) -> dns.name.Name | None:
    """The zone below, when the server answers only whom to ask instead."""
    if message.answer or message.flags & dns.flags.AA:
        return None
    zones = [rrset.name for rrset in message.authority if rrset.rdtype == dns.rdatatype.NS]
    return next((zone for zone in zones if name.is_subdomain(zone) and len(zone) > 2), None)


def _up_to(domain: str, registrable: str) -> list[str]:
    labels = domain.split(".")
    count = max(1, len(labels) - len(registrable.split(".")) + 1)
    return [".".join(labels[start:]) for start in range(count)]
