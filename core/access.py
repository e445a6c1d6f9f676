"""Access: who may do what, and to which tenants. Checked in the core on every call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.errors import NotFound, PermissionDenied


class Role(StrEnum):
    ADMIN = "admin"
    OPERATOR = "operator"
    ACCOUNT_MANAGER = "account_manager"
    ANALYST = "analyst"


class Action(StrEnum):
    MANAGE_USERS = "manage users"
    MANAGE_ACCOUNTS = "change AWS accounts"
    CREATE_TENANT = "create a tenant"
    SEE_TENANT = "see a tenant"
    PAUSE_TENANT = "pause a tenant"
    RESUME_TENANT = "resume a tenant"
    REPAIR_TENANT = "check and repair a tenant's setup"
    SET_REPUTATION_POLICY = "choose a tenant's reputation policy"
    SET_REPUTATION_LIMITS = "set a tenant's own reputation levels"
    SET_LIMITS = "limit how much a tenant sends"
    SET_FALLBACK = "choose a tenant's fallback policy"
    WARM_UP = "warm a tenant up"
    MANAGE_SENDERS = "add and verify senders"
    REMOVE_SENDER = "remove or restore a sender"
    SHARE_ONBOARDING = "share a domain's onboarding page"
    DRAFT_CAMPAIGN = "prepare a campaign"
    RUN_CAMPAIGN = "start, pause or cancel a campaign"
    RESEND_UNKNOWN = "decide about messages whose fate nobody knows"
    SEND_MESSAGE = "send a message"
    SEE_ADDRESSES = "see recipients' addresses"
    SEE_SUPPRESSIONS = "see the suppression list"
    ADD_SUPPRESSION = "add a suppression"
    RELEASE_SUPPRESSION = "release a suppression"
    RELEASE_COMPLAINT = "release a suppression that came from a complaint"
    EXPORT_SUPPRESSIONS = "export the suppression list"
    REPAIR_SUPPRESSIONS = "compare suppression lists with SES and repair them"
    RELEASE_AT_ACCOUNT = "take addresses off the AWS account's suppression list"
    SEE_REPORTS = "see reports"
    SEE_AUDIT = "read the audit log"
    SEE_HEALTH = "see the health of the installation"
    REPLAY_EVENTS = "replay or discard events"
    RELEASE_HOLD = "let held mail go"
    MANAGE_ALERTS = "choose where alerts are sent"
    MANAGE_ALL_ALERTS = "choose where the alerts of every tenant are sent"


_EVERYBODY = frozenset(Role)
_STAFF = frozenset({Role.ADMIN, Role.OPERATOR})
_MANAGERS = _STAFF | {Role.ACCOUNT_MANAGER}

# tests/integration/test_access_matrix.py calls every use case by it: role x (own tenant, another, none).
ALLOWED: dict[Action, frozenset[Role]] = {
    Action.MANAGE_USERS: frozenset({Role.ADMIN}),
    Action.MANAGE_ACCOUNTS: frozenset({Role.ADMIN}),
    Action.CREATE_TENANT: _STAFF,
    Action.SEE_TENANT: _EVERYBODY,
    Action.PAUSE_TENANT: _MANAGERS,
    Action.RESUME_TENANT: _STAFF,
    Action.REPAIR_TENANT: _STAFF,
    Action.SET_REPUTATION_POLICY: _STAFF,
    Action.SET_REPUTATION_LIMITS: frozenset({Role.ADMIN}),
    Action.SET_LIMITS: _STAFF,
    Action.SET_FALLBACK: _STAFF,
    Action.WARM_UP: _STAFF,
    Action.MANAGE_SENDERS: _MANAGERS,
    Action.REMOVE_SENDER: _STAFF,
    Action.SHARE_ONBOARDING: _MANAGERS,
    Action.DRAFT_CAMPAIGN: _MANAGERS,
    Action.RUN_CAMPAIGN: _MANAGERS,
    Action.RESEND_UNKNOWN: _STAFF,
    Action.SEND_MESSAGE: _MANAGERS,
    Action.SEE_ADDRESSES: _MANAGERS,
    Action.SEE_SUPPRESSIONS: _EVERYBODY,
    Action.ADD_SUPPRESSION: _MANAGERS,
    Action.RELEASE_SUPPRESSION: _STAFF,
    Action.RELEASE_COMPLAINT: frozenset({Role.ADMIN}),
    Action.EXPORT_SUPPRESSIONS: _EVERYBODY,
    Action.REPAIR_SUPPRESSIONS: _STAFF,
    Action.RELEASE_AT_ACCOUNT: frozenset({Role.ADMIN}),
    Action.SEE_REPORTS: _EVERYBODY,
    Action.SEE_AUDIT: _STAFF,
    Action.SEE_HEALTH: _STAFF,
    Action.REPLAY_EVENTS: _STAFF,
    Action.RELEASE_HOLD: _STAFF,
    Action.MANAGE_ALERTS: _STAFF,
    Action.MANAGE_ALL_ALERTS: frozenset({Role.ADMIN}),
}


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody who does something. `tenant_ids` None: every tenant (admins, operators, the command line)."""

    username: str
    role: Role
    user_id: int | None = None
    tenant_ids: frozenset[int] | None = None

    def may(self, action: Action, tenant_id: int | None = None) -> bool:
        return self.role in ALLOWED[action] and (tenant_id is None or self.sees(tenant_id))

    def sees(self, tenant_id: int) -> bool:
        return self.tenant_ids is None or tenant_id in self.tenant_ids

    def must(self, action: Action, tenant_id: int | None = None) -> None:
        """Raise NotFound for a tenant the actor is not assigned to (so that nobody learns it exists),
        PermissionDenied when the role is not enough."""
        if tenant_id is not None and not self.sees(tenant_id):
            raise NotFound("There is no such tenant.")
        if self.role not in ALLOWED[action]:
            raise PermissionDenied(
                f"Your role ({self.role.replace('_', ' ')}) may not {action}. Ask an administrator."
            )


def command_line(username: str) -> Actor:
    """Whoever can read the database's password on this host: an administrator."""
    return Actor(username=username, role=Role.ADMIN)


SYSTEM = Actor(username="postyard", role=Role.ADMIN)
"""Jobs: what Postyard does by itself, in the audit log under its own name."""
