"""States: every status that is stored, spelled as SES spells it where SES has a word."""

from __future__ import annotations

from enum import StrEnum


class SendingStatus(StrEnum):
    """Of a tenant; SES's own three (API reference, ReputationEntity)."""

    ENABLED = "ENABLED"
    DISABLED = "DISABLED"
    REINSTATED = "REINSTATED"


class VerificationStatus(StrEnum):
    """Of an identity (API reference, GetEmailIdentity)."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    TEMPORARY_FAILURE = "TEMPORARY_FAILURE"
    NOT_STARTED = "NOT_STARTED"


class CampaignStatus(StrEnum):
    DRAFT = "DRAFT"
    SCHEDULED = "SCHEDULED"
    SENDING = "SENDING"
    HOLDING = "HOLDING"
    PAUSED = "PAUSED"
    SENT = "SENT"
    CANCELLED = "CANCELLED"
    BLOCKED = "BLOCKED"


class MessageStatus(StrEnum):
    """The eleven a message can be in; docs/architecture.md has the moves."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its campaign's last moment came before its turn


class ProviderName(StrEnum):
    """Which way a message went."""

    SES = "ses"
    RESEND = "resend"


class FallbackPolicy(StrEnum):
    """Of a tenant: when its mail may go through the second provider, from the installation's own address."""

    NONE = "none"
    NO_VERIFIED_DOMAIN = "no_verified_domain"  # only while none of its domains is verified
    UNMATCHED_SENDER = "unmatched_sender"  # for each sender whose own domain is not verified, or is removed


class EventType(StrEnum):
    """SES event types; OTHER keeps what SES may add (developer guide, Contents of event data)."""

    SEND = "SEND"
    DELIVERY = "DELIVERY"
    BOUNCE = "BOUNCE"
    COMPLAINT = "COMPLAINT"
    REJECT = "REJECT"
    DELIVERY_DELAY = "DELIVERY_DELAY"
    OPEN = "OPEN"
    CLICK = "CLICK"
    RENDERING_FAILURE = "RENDERING_FAILURE"
    SUBSCRIPTION = "SUBSCRIPTION"
    OTHER = "OTHER"


class BounceType(StrEnum):
    PERMANENT = "PERMANENT"
    TRANSIENT = "TRANSIENT"
    UNDETERMINED = "UNDETERMINED"


class SuppressionReason(StrEnum):
    BOUNCE = "BOUNCE"
    COMPLAINT = "COMPLAINT"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    MANUAL = "MANUAL"


class ResourceState(StrEnum):
    """Of a thing a tenant needs in AWS (TenantResource)."""

    DONE = "done"
    MISSING = "missing"
    DIFFERENT = "different"
    FAILED = "failed"  # making it was refused
    UNKNOWN = "unknown"  # looking for it was


class ReputationPolicy(StrEnum):
    """Of a tenant: when SES pauses it by itself (developer guide, Tenant reputation policies)."""

    NONE = "none"
    STANDARD = "standard"
    STRICT = "strict"
