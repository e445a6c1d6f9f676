"""What SES keeps: each kind of resource in a table of its own, in memory and behind it in the store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import orjson

from simulator.store import Store

T = TypeVar("T")


@dataclass(slots=True)
class Account:
    production_access: bool = True
    max_send_rate: float = 200.0
    max_24_hour_send: float = 500_000.0  # -1: unlimited
    sending_enabled: bool = True
    enforcement_status: str = "HEALTHY"
    suppressed_reasons: list[str] = field(default_factory=lambda: ["BOUNCE", "COMPLAINT"])
    details: dict[str, Any] | None = None
    review: str | None = None  # of the last request for production access: PENDING, GRANTED, DENIED, FAILED
    review_until: float | None = None  # PENDING: granted then, if nobody decides before
    reviews: int = 0
    limits_before: dict[str, float] = field(default_factory=dict)  # what the sandbox's took the place of


@dataclass(slots=True)
class Tenant:
    name: str
    id: str
    arn: str
    created_at: float
    policy: str  # ARN of the reputation policy
    tags: list[dict[str, str]] = field(default_factory=list)
    suppressed_reasons: list[str] | None = None
    suppression_scope: str | None = None
    customer_status: str = "ENABLED"
    customer_cause: str = ""
    customer_at: float = 0.0
    aws_status: str = "ENABLED"
    aws_cause: str = ""
    aws_at: float = 0.0
    impact: str | None = None

    def sending_status(self) -> str:
        """SES's aggregate: either side may disable, and only REINSTATED sends despite findings."""
        if "DISABLED" in (self.customer_status, self.aws_status):
            return "DISABLED"
        if "REINSTATED" in (self.customer_status, self.aws_status):
            return "REINSTATED"
        return "ENABLED"


@dataclass(slots=True)
class Finding:
    """SES's word is recommendation; one of a type and tenant at a time."""

    tenant: str
    arn: str
    type: str
    impact: str  # LOW, HIGH
    description: str
    status: str  # OPEN, FIXED
    created_at: float
    updated_at: float

    @property
    def key(self) -> str:
        return finding_key(self.tenant, self.type)


def finding_key(tenant: str, kind: str) -> str:
    return f"{tenant}\0{kind}"


@dataclass(slots=True)
class Association:
    tenant: str
    arn: str
    at: float


@dataclass(slots=True)
class MailFrom:
    domain: str
    behavior: str
    watched_from: float
    status: str = "PENDING"


@dataclass(slots=True)
class Identity:
    name: str
    type: str  # DOMAIN, EMAIL_ADDRESS
    created_at: float
    tokens: list[str]
    watched_from: float  # SES looks for the DKIM records for 72 hours from here
    status: str = (
        "PENDING"  # by DKIM or by the older TXT record, whichever is better off; of an address: by a click
    )
    dkim_status: str = "PENDING"
    text_status: str = "NOT_STARTED"  # of the older TXT record, from when its token was asked for
    text_watched_from: float = 0.0
    signing_enabled: bool = True
    feedback_forwarding: bool = True
    configuration_set: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    mail_from: MailFrom | None = None
    error_type: str | None = None
    checked_at: float | None = None
    succeeded_at: float | None = None

    @property
    def verified(self) -> bool:
        return self.status == "SUCCESS"


@dataclass(slots=True)
class ConfigurationSet:
    name: str
    created_at: float
    sending_enabled: bool = True
    options: dict[str, Any] = field(default_factory=dict)  # tracking, delivery …: kept and told, not acted on
    suppressed_reasons: list[str] | None = None
    suppression_scope: str | None = None
    tags: list[dict[str, str]] = field(default_factory=list)
    destinations: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Suppressed:
    tenant: str  # empty: the account's list
    address: str
    reason: str
    updated_at: float
    message_id: str | None = None
    feedback_id: str | None = None


@dataclass(slots=True)
class Answered:
    """What Resend keeps of an idempotency key: the request's digest and its answer."""

    key: str
    digest: str
    at: float
    answer: dict[str, Any]


class Table(Generic[T]):
    """Rows by key. What changes a row in place must put it again."""

    def __init__(self, store: Store, kind: str, row_type: type[T]) -> None:
        self._store = store
        self._kind = kind
        self._row_type = row_type
        self._rows: dict[str, T] = {}

    def load(self, key: str, body: bytes) -> None:
        self._rows[key] = _from_json(self._row_type, body)

    def put(self, key: str, row: T) -> None:
        self._rows[key] = row
        self._store.put(self._kind, key, orjson.dumps(row))

    def remove(self, key: str) -> None:
        if self._rows.pop(key, None) is not None:
            self._store.remove(self._kind, key)

    def get(self, key: str) -> T | None:
        return self._rows.get(key)

    def clear(self) -> None:
        self._rows.clear()

    def __contains__(self, key: str) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._rows.values()))


def _from_json(row_type: type[T], body: bytes) -> T:
    values = orjson.loads(body)
    if row_type is Identity and values["mail_from"]:
        values["mail_from"] = MailFrom(**values["mail_from"])
    return row_type(**values)
