"""Facts: all that the checklist is computed from, read in one transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import accounts, identities, tenants
from core.db.models import Account, AuditEntry, Event, Identity, Message, Sender, Tenant, TenantResource
from core.db.states import ResourceState
from core.dns import Finding, Kind
from core.events.heartbeat import PROBE

REPAIRS = ("repair tenant",)  # of the audit log
PIPELINE = ("event queue", "SNS topic", "configuration set", "event destination")
_BAD = (ResourceState.MISSING, ResourceState.DIFFERENT, ResourceState.FAILED)


class Domain(NamedTuple):
    identity: Identity
    findings: list[Finding]

    def of(self, kind: Kind) -> list[Finding]:
        return [finding for finding in self.findings if finding.record.kind == kind]

    def at(self, name: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.record.name == name]


class RoundTrip(NamedTuple):
    """The last message to the mailbox simulator. `heard_at`: its first event arrived."""

    message: Message
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Facts:
    now: datetime
    tenant: Tenant
    account: Account
    resources: list[TenantResource]
    domains: list[Domain]  # those that senders are on
    senders: list[tuple[Sender, Identity]]  # the default first
    round_trip: RoundTrip | None
    pipeline_changed_at: datetime | None  # repaired, or found to be no longer as it was made

    @property
    def sending_domain(self) -> Domain | None:
        """The one mail is sent from: the default sender's, else a verified one, else one there is."""
        default = [identity.id for sender, identity in self.senders if sender.is_default]
        for wanted in (
            [domain for domain in self.domains if domain.identity.id in default],
            [domain for domain in self.domains if domain.identity.verified_for_sending],
        ):
            if wanted:
                return wanted[0]
        return self.domains[0] if self.domains else None

    @property
    def verified_senders(self) -> list[Sender]:
        return [sender for sender, identity in self.senders if identity.verified_for_sending]


def read_facts(session: Session, tenant_id: int, now: datetime) -> Facts:
    tenant = tenants.get_tenant(session, tenant_id)
    account = accounts.get_account(session, tenant.account_id)
    resources = _resources(session, tenant_id)
    senders = _senders(session, tenant_id)
    domains = {identity.id: identity for _, identity in senders if identity.type == identities.DOMAIN}
    return Facts(
        now=now,
        tenant=tenant,
        account=account,
        resources=resources,
        domains=[Domain(i, identities.findings(i, account.region)) for i in domains.values()],
        senders=senders,
        round_trip=_round_trip(session, tenant_id),
        pipeline_changed_at=_pipeline_changed_at(session, tenant_id, resources),
    )


def _resources(session: Session, tenant_id: int) -> list[TenantResource]:
    query = select(TenantResource).where(TenantResource.tenant_id == tenant_id)
    return list(session.scalars(query.order_by(TenantResource.position, TenantResource.key)))


def _senders(session: Session, tenant_id: int) -> list[tuple[Sender, Identity]]:
    query = (
        select(Sender, Identity)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Sender.tenant_id == tenant_id, Identity.tenant_id == tenant_id, Sender.deleted_at.is_(None))
        .order_by(Sender.is_default.desc(), Sender.address)
    )
    return [(sender, identity) for sender, identity in session.execute(query)]


def _round_trip(session: Session, tenant_id: int) -> RoundTrip | None:
    last = (
        select(Message)
        .where(Message.tenant_id == tenant_id, Message.address_key == PROBE, Message.campaign_id.is_(None))
        .order_by(Message.id.desc())
        .limit(1)
    )
    message = session.scalar(last)
    if message is None:
        return None
    heard = select(func.min(Event.received_at)).where(
        Event.tenant_id == tenant_id, Event.message_id == message.id
    )
    return RoundTrip(message, session.scalar(heard))


def _pipeline_changed_at(
    session: Session, tenant_id: int, resources: Iterable[TenantResource]
) -> datetime | None:
    repaired_at = session.scalar(
        select(func.max(AuditEntry.at)).where(
            AuditEntry.tenant_id == tenant_id, AuditEntry.action.in_(REPAIRS)
        )
    )
    seen = [r.checked_at for r in resources if r.key in PIPELINE and r.state in _BAD]
    return max((at for at in (repaired_at, *seen) if at is not None), default=None)
