"""The contract between Postyard and whoever carries its mail and brings its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from core.db.states import BounceType, EventType


@dataclass(frozen=True, slots=True)
class AccountState:
    """GetAccount. Rates are recipients per second and per 24 h; -1: unlimited."""

    max_send_rate: float
    max_24_hour_send: float
    sent_last_24_hours: float
    production_access: bool
    sending_enabled: bool
    enforcement_status: str  # HEALTHY, PROBATION, SHUTDOWN


@dataclass(frozen=True, slots=True)
class TenantState:
    tenant_id: str
    arn: str
    sending_status: str  # ENABLED, DISABLED, REINSTATED: what SES does, of all its three statuses


@dataclass(frozen=True, slots=True)
class IdentityState:
    """GetEmailIdentity, as far as we keep it."""

    verification_status: str
    verified_for_sending: bool
    dkim_status: str
    dkim_tokens: tuple[str, ...]
    signing_hosted_zone: str
    mail_from_domain: str | None = None
    mail_from_status: str | None = None
    error_type: str | None = None


@dataclass(frozen=True, slots=True)
class BulkEntry:
    """One recipient of a bulk call."""

    address: str
    msg_uid: str  # our id, carried as an e-mail tag: [A-Za-z0-9_-]
    fields: dict[str, str]  # what the content's {{names}} stand for, escaped as their place needs
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BulkMail:
    """Up to 50 recipients, one content, one call."""

    from_address: str  # "Name <address>" or the bare address
    subject: str
    html: str
    text: str
    entries: tuple[BulkEntry, ...]
    tenant_name: str
    configuration_set: str
    tags: dict[str, str] = field(default_factory=dict)  # tenant, campaign, user
    endpoint_timeout_seconds: float = 15.0


class Outcome(StrEnum):
    """What one entry's answer means for its message."""

    ACCEPTED = "accepted"
    THROTTLED = "throttled"  # not accepted; too fast
    QUOTA = "quota"  # not accepted; the 24 hours are used up
    PAUSED = "paused"  # not accepted; SES has paused account, tenant or configuration set
    CREDENTIALS = "credentials"  # not accepted; key refused
    NOT_SENT = "not sent"  # not accepted: no connection
    REFUSED = "refused"  # never will be accepted
    UNKNOWN = "unknown"  # nobody can tell


@dataclass(frozen=True, slots=True)
class EntryResult:
    outcome: Outcome
    provider_message_id: str | None = None
    code: str = ""
    reason: str = ""
    account_wide: bool = False  # PAUSED: the whole AWS account, not only the tenant asked about


@dataclass(frozen=True, slots=True)
class Plumbing:
    """Where an account's events arrive."""

    queue_url: str
    queue_arn: str
    dead_letter_queue_url: str


class EmailProvider(Protocol):
    """All but the sending methods raise ProviderError or Throttled; creating what exists is success."""

    name: str

    def get_account(self) -> AccountState: ...

    def caller_account_id(self) -> str: ...

    def create_tenant(self, name: str) -> TenantState:
        """With a suppression list of its own: one tenant's bounces must not keep another's mail back."""

    def get_tenant(self, name: str) -> TenantState: ...

    def release_suppressed(self, tenant_name: str, address: str) -> None:
        """Take the address, in exactly this case, off the tenant's list at SES; twice is the same."""

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None: ...

    def associate(self, tenant_name: str, resource_arn: str) -> None: ...

    def create_configuration_set(self, name: str) -> str:
        """Returns its ARN."""

    def create_event_destination(self, configuration_set: str, topic_arn: str) -> None: ...

    def create_identity(self, name: str, configuration_set: str) -> IdentityState: ...

    def get_identity(self, name: str) -> IdentityState: ...

    def delete_identity(self, name: str, tenant_name: str) -> None:
        """Removes its tenant association first; no error when it is gone already."""

    def identity_arn(self, name: str) -> str: ...

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        """One request, never repeated; one result per entry, in order. Raises nothing a network can cause."""

    def send_one(self, mail: BulkMail) -> EntryResult:
        """The same for a mail with exactly one entry: transactional mail."""


@dataclass(frozen=True, slots=True)
class QueueMessage:
    receipt: str
    body: str
    sent_at: datetime | None  # when SQS took it: the age of what is unprocessed
    receives: int


class EventQueue(Protocol):
    def create_event_queue(self, name: str) -> Plumbing:
        """Queue, dead-letter queue, redrive after 5 receives, 14 days' retention. Twice is the same."""

    def create_topic(self, name: str, queue: Plumbing) -> str:
        """Topic subscribed to the queue, both policies set; returns its ARN. Twice is the same."""

    def receive(self, queue_url: str, *, wait_seconds: int) -> list[QueueMessage]:
        """Up to 10 messages."""

    def delete(self, queue_url: str, receipts: list[str]) -> None: ...

    def send_to(self, queue_url: str, body: str) -> None:
        """Put a body into a queue: the dead-letter queue for what cannot be read."""

    def depth(self, queue_url: str) -> int:
        """How many messages wait, approximately (SQS's own word)."""


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """One event about one recipient, whatever envelope it came in."""

    uid: str
    type: EventType
    recipient: str  # lower case
    provider_message_id: str
    msg_uid: str | None
    occurred_at: datetime
    topic_arn: str | None
    tenant_tag: str | None
    bounce_type: BounceType | None = None
    bounce_subtype: str | None = None
    feedback_type: str | None = None  # complaintFeedbackType; `not-spam` is no complaint
    diagnostic: str | None = None
    counts_in_rates: bool = True
    raw: str = ""
