"""Adding: an identity reserved here, made in SES, and given what else a new one should have.

What else is the token of SES's older API, a MAIL FROM domain, and a first look at its DNS, so that a page
knows of the SPF record that is there before it offers one. Nobody waits long for that: what does not come at
once comes with the first check.
"""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field

from sqlalchemy import update

from core import accounts, audit, dns, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Tenant
from core.db.states import VerificationStatus
from core.dns import Finding, Verdict
from core.errors import Conflict, ProviderError
from core.identities import at_ses
from core.identities.checks import note
from core.identities.names import checked_name, refuse_shared
from core.identities.records import DOMAIN, records
from core.identities.removal import give_back, undone_if_removed
from core.identities.rows import (
    find_by_name,
    forsaken,
    get_identity,
    lock_names,
    refuse_anothers,
)
from core.providers.base import IdentityState

# An SES that needs longer to make it is asked for nothing else yet: five turns at its control operations take
# six seconds, one of them without an answer takes ten.
QUICK_SECONDS = 10.0
DNS_SECONDS = 5.0
NOBODY_WAITS_SECONDS = 6.0


@dataclass
class First:
    """What a new identity has, each part as soon as it is known."""

    state: IdentityState
    token: str | None
    findings: list[Finding] = field(default_factory=list)


def add(app: App, actor: Actor, tenant_id: int, name: str) -> Identity:
    """The tenant's identity in SES, made if need be: a domain, or one address (for development). Conflict
    when another tenant has the domain, one above it or one that looks like it, without a word about who; and
    when the AWS account has it already though nobody arranged it here. An administrator adopts it then: so
    whoever has identities in SES brings them to Postyard, with their DKIM and MAIL FROM as they are."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    name = checked_name(name)
    with app.db.read() as session:
        tenant = tenants.get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
        is_new = find_by_name(session, tenant_id, name) is None
    if is_new:
        refuse_shared(name)
        app.providers.email(region).caller_account_id()  # without AWS nothing is begun
    identity, is_new = _reserve(app, tenant_id, name)
    if identity.dkim_tokens or identity.verification_status != VerificationStatus.NOT_STARTED:
        return identity
    began = app.clock.monotonic()
    state, adopted = _made(app, actor, tenant, region, identity, is_new=is_new)
    is_quick = app.clock.monotonic() - began < QUICK_SECONDS
    first = _furnished(
        app, region, identity, First(state, at_ses.NO_TOKEN if adopted else None), asks=is_quick
    )
    action = "adopt identity" if adopted else "add identity"
    undone = nullcontext() if adopted else undone_if_removed(app, tenant, region, identity)
    with undone, one_wins(name), app.db.begin() as session:
        identity = get_identity(session, tenant_id, identity.id)
        identity.verification_token = first.token
        identity.dns_findings = [finding.as_json() for finding in first.findings]
        note(identity, first.state, app.now())
        audit.record(session, actor, action, name, at=app.now(), tenant_id=tenant_id)
    return identity


def _reserve(app: App, tenant_id: int, name: str) -> tuple[Identity, bool]:
    """The row first, and whether it is new: two tenants that add one domain at once cannot both get as far as
    SES."""
    now = app.now()
    with one_wins(name), app.db.begin() as session:
        if identity := find_by_name(session, tenant_id, name):
            return identity, False
        lock_names(session, now)
        refuse_anothers(session, tenant_id, name, now)
        session.execute(
            update(Identity)
            .where(Identity.tenant_id != tenant_id, Identity.name == name, forsaken(now))
            .values(removed_at=now, version=Identity.version + 1)
            .execution_options(synchronize_session=False)
        )
        kind = "EMAIL_ADDRESS" if "@" in name else DOMAIN
        identity = Identity(tenant_id=tenant_id, name=name, type=kind, created_at=now)
        session.add(identity)
        session.flush()
        return identity, True


def _made(
    app: App, actor: Actor, tenant: Tenant, region: str, identity: Identity, *, is_new: bool
) -> tuple[IdentityState, bool]:
    """In SES, and whether it was adopted. Where SES does not take the name, nobody keeps it here either."""
    trusted = actor.may(Action.MANAGE_ACCOUNTS)
    try:
        return at_ses.create(app, tenant, region, identity.name, trusted=trusted)
    except Conflict:
        if is_new:
            give_back(app, identity)
        raise
    except ProviderError as e:
        is_absent = e.permanent and _is_absent(app, region, identity.name)
        if is_absent and is_new:
            give_back(app, identity)
        if is_absent and "CreateEmailIdentity" not in str(e):
            raise Conflict(f"{identity.name} was taken out of Amazon SES just now. Add it again.") from e
        raise at_ses.explained(e, identity.name) from e


def _is_absent(app: App, region: str, name: str) -> bool:
    try:
        return app.providers.email(region).find_identity(name) is None
    except ProviderError:
        return False


def _furnished(app: App, region: str, identity: Identity, first: First, *, asks: bool) -> First:
    """`asks`: SES for more. What takes longer than anybody waits goes on, and the first check finds it."""
    known = First(first.state, first.token)
    if identity.type != DOMAIN:
        return known

    def furnish() -> None:
        if asks and known.token is None:
            known.token = at_ses.token(app, region, identity)
        if asks:
            known.state = at_ses.with_mail_from(app, region, identity, known.state)
        known.findings = _looked_up(app, region, identity, known)

    # A daemon: a command line must not wait at its end for what nobody waits for.
    thread = threading.Thread(target=furnish, name=f"furnish {identity.name}", daemon=True)
    thread.start()
    thread.join(NOBODY_WAITS_SECONDS)
    return First(known.state, known.token, known.findings)


def _looked_up(app: App, region: str, identity: Identity, first: First) -> list[Finding]:
    """What DNS says of the records it should have; nothing where it does not answer."""
    sketch = Identity(name=identity.name, type=identity.type, verification_token=first.token)
    note(sketch, first.state, app.now())
    resolver = dns.Resolver(app.settings.dns_servers)
    found = dns.diagnose(sketch.name, records(sketch, region), resolver, within_seconds=DNS_SECONDS)
    return [finding for finding in found if finding.verdict is not Verdict.UNKNOWN]
