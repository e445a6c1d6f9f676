"""The contract between Postyard and whoever carries its mail and brings its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from core.db.states import BounceType, EventType

ABSENT = "There is no "
# What a configuration set tells us: all that SES has (MatchingEventTypes).
EVENT_TYPES = frozenset(EventType) - {EventType.OTHER}


@dataclass(frozen=True, slots=True)
class AccountState:
    """GetAccount. Rates are recipients per second and per 24 h; -1: unlimited."""

    max_send_rate: float
    max_24_hour_send: float
    sent_last_24_hours: float
    production_access: bool
    sending_enabled: bool
    enforcement_status: str  # HEALTHY, PROBATION, SHUTDOWN
    review_status: str | None = None  # of the request for production access: PENDING, FAILED, GRANTED, DENIED
    review_case_id: str | None = None
    access_request: dict[str, Any] = field(default_factory=dict)  # AccessRequest.as_json of what was asked


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """PutAccountDetails: what AWS asks before it lets an account out of the sandbox."""

    mail_type: str  # MARKETING, TRANSACTIONAL
    website_url: str
    use_case: str  # up to 5,000 characters
    contact_language: str = "EN"  # EN, JA
    contacts: tuple[str, ...] = ()  # up to 4 further addresses

    def as_json(self) -> dict[str, Any]:
        return {
            "mail_type": self.mail_type,
            "website_url": self.website_url,
            "use_case": self.use_case,
            "contact_language": self.contact_language,
            "contacts": list(self.contacts),
        }


@dataclass(frozen=True, slots=True)
class TenantState:
    tenant_id: str
    arn: str
    sending_status: str  # ENABLED, DISABLED, REINSTATED: what SES does, of all its three statuses
    own_suppressions: bool = True  # False: another tenant's bounces keep its mail back


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
    configuration_set: str | None = None
    owner: str | None = None  # the tenant it was made or adopted for here, by its tag
    # VerificationInfo: last_checked_at, last_success_at (ISO 8601), error_type, primary_name_server.
    verification_info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventDestination:
    """Where SES sends a configuration set's events."""

    topic_arn: str | None
    event_types: frozenset[str]
    enabled: bool

    @property
    def is_complete(self) -> bool:
        return self.enabled and self.event_types >= EVENT_TYPES


@dataclass(frozen=True, slots=True)
class ReputationState:
    """GetReputationEntity of a tenant. `policy` is none, standard or strict; statuses are SES's three."""

    policy: str
    customer_status: str
    aws_status: str
    aws_cause: str
    sending_status: str  # the aggregate: what SES does
    impact: str | None  # LOW, HIGH


@dataclass(frozen=True, slots=True)
class ReputationFinding:
    """ListRecommendations, one open finding about a tenant."""

    type: str  # BOUNCE, COMPLAINT, …
    description: str
    impact: str  # LOW, HIGH
    opened_at: datetime | None

    def as_json(self) -> dict[str, Any]:
        opened_at = self.opened_at and self.opened_at.isoformat()
        return {
            "type": self.type,
            "description": self.description,
            "impact": self.impact,
            "opened_at": opened_at,
        }


@dataclass(frozen=True, slots=True)
class Suppressed:
    """SuppressedDestinationSummary: an address on one of SES's lists, in the case it was written to in."""

    address: str
    reason: str  # BOUNCE, COMPLAINT
    listed_at: datetime


@dataclass(frozen=True, slots=True)
class SuppressedPage:
    entries: tuple[Suppressed, ...]
    next_token: str | None  # None: this was the last page


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
    reply_to: str = ""
    idempotency_key: str = ""  # for a provider that answers the same key twice with one mail


@dataclass(frozen=True, slots=True)
class PlainMail:
    """To the people of the installation itself: text alone, of no tenant."""

    from_address: str  # "Name <address>" or the bare address
    to_address: str
    subject: str
    text: str


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


class MailProvider(Protocol):
    """A way out. Neither method raises anything that a network or the provider can cause."""

    name: str
    largest_call: int  # recipients of one bulk request

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        """One result per entry, in order. A request that may have been taken is repeated only where the
        provider knows a repetition by its key."""

    def send_one(self, mail: BulkMail) -> EntryResult:
        """The same for a mail with exactly one entry: transactional mail."""


class EmailProvider(MailProvider, Protocol):
    """All but the sending methods raise ProviderError or Throttled; creating what exists is success, and so
    is removing what is gone. `find_…` gives None for what SES does not have."""

    def send_plain(self, mail: PlainMail) -> EntryResult:
        """For the account itself, without a tenant or a configuration set; as safe as `send_one`."""

    def get_account(self) -> AccountState: ...

    def caller_account_id(self) -> str: ...

    def create_tenant(self, name: str) -> TenantState:
        """With a suppression list of its own: one tenant's bounces must not keep another's mail back."""

    def get_tenant(self, name: str) -> TenantState: ...

    def find_tenant(self, name: str) -> TenantState | None: ...

    def request_production_access(self, request: AccessRequest) -> None:
        """Conflict while AWS still reviews an earlier one."""

    def get_reputation(self, tenant_arn: str) -> ReputationState: ...

    def set_reputation_policy(self, tenant_arn: str, policy: str) -> None:
        """none, standard or strict."""

    def list_findings(self, tenant_arn: str) -> list[ReputationFinding]:
        """The open ones."""

    def list_suppressed(self, tenant_name: str | None, after: str | None = None) -> SuppressedPage:
        """A page of the tenant's list at SES, of the account's for None, in no order that is promised.
        `after`: the token of the page before."""

    def put_suppressed(self, tenant_name: str | None, address: str, reason: str) -> None:
        """Onto the tenant's list, or the account's; SES refuses it in the sandbox. Twice is the same."""

    def release_suppressed(self, tenant_name: str | None, address: str) -> None:
        """Take the address, in exactly this case, off the tenant's list at SES, or the account's; twice is
        the same."""

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None: ...

    def associate(self, tenant_name: str, resource_arn: str) -> None: ...

    def associations(self, tenant_name: str) -> frozenset[str]:
        """ARNs of what the tenant may send with."""

    def create_configuration_set(self, name: str) -> str:
        """Returns its ARN."""

    def has_configuration_set(self, name: str) -> bool: ...

    def configuration_set_arn(self, name: str) -> str: ...

    def create_event_destination(self, configuration_set: str, topic_arn: str) -> None: ...

    def find_event_destination(self, configuration_set: str) -> EventDestination | None: ...

    def create_identity(self, name: str, configuration_set: str, owner: str) -> bool:
        """Tagged with its owner, a tenant's name. False, and nothing is changed, when the AWS account has it
        already: it may be another application's."""

    def tag_identity(self, name: str, owner: str) -> None:
        """It is this tenant's from now on."""

    def set_configuration_set(self, identity: str, configuration_set: str) -> None:
        """Of mail that names none."""

    def get_identity(self, name: str) -> IdentityState: ...

    def find_identity(self, name: str) -> IdentityState | None: ...

    def verification_token(self, domain: str) -> str | None:
        """Of SES's older API (VerifyDomainIdentity): the TXT record at _amazonses.DOMAIN. None where the
        credentials may not call it: DKIM verifies the domain as well. Only after create_identity: that API
        makes a domain SES does not have, without DKIM."""

    def restart_verification(self, domain: str) -> None:
        """SES looks for DKIM for 72 hours and then gives up: begin again, with the same tokens."""

    def set_mail_from(self, identity: str, domain: str | None) -> None:
        """None: back to amazonses.com. Mail goes on with that while the domain's records are not found."""

    def delete_identity(self, name: str, tenant_name: str) -> None:
        """Removes its tenant association first; no error when it is gone already."""

    def identity_arn(self, name: str) -> str: ...


@dataclass(frozen=True, slots=True)
class QueueMessage:
    receipt: str
    body: str
    sent_at: datetime | None  # when SQS took it: the age of what is unprocessed
    receives: int
    id: str = ""  # the same at every receive, as the receipt is not


class EventQueue(Protocol):
    """A `…_fault` about what is not there at all begins with ABSENT."""

    def create_event_queue(self, name: str) -> Plumbing:
        """Queue, dead-letter queue, redrive after 5 receives, 14 days' retention. Twice is the same."""

    def create_topic(self, name: str, queue: Plumbing) -> str:
        """Topic subscribed to the queue, both policies set; returns its ARN. Twice is the same."""

    def queue_fault(self, name: str) -> str | None:
        """What is wrong with queue `name`, its dead-letter queue or their policies, as a sentence."""

    def topic_fault(self, topic_arn: str, queue: Plumbing) -> str | None:
        """What is wrong with the topic, its policy or its subscription, as a sentence."""

    def confirm_subscription(self, topic_arn: str, token: str) -> str:
        """Of an HTTPS endpoint, with the token that SNS sent there; returns its ARN. Only AWS principals may
        unsubscribe it then."""

    def create_status_rule(self, name: str, queue: Plumbing) -> str:
        """EventBridge rule on the default bus that puts SES's notices about tenants (sending status and
        findings) into the queue; returns its ARN. Twice is the same."""

    def status_rule_fault(self, name: str, queue: Plumbing) -> str | None:
        """What is wrong with the rule, as a sentence."""

    def receive(
        self, queue_url: str, *, wait_seconds: int, hidden_seconds: int | None = None
    ) -> list[QueueMessage]:
        """Up to 10. `hidden_seconds`: for how long nobody else gets them; None: the queue's own time-out."""

    def release(self, queue_url: str, receipts: list[str]) -> None:
        """Let others receive them at once."""

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
    link: str | None = None  # of a click
    user_agent: str | None = None  # of an open or a click, as the next two
    ip_address: str | None = None
    bot_likely: bool | None = None  # the provider's own word; None: it gives none
    raw: str = ""
