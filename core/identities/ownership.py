"""Ownership: whose an identity is that the AWS account has already.

SES verifies a domain once for the whole account. Other applications may have theirs in it, and what an
interrupted removal left behind may still be verified: neither may come to whoever asks for the name next. So
what is made here carries the tenant's tag, and what does not, nor is associated with the SES tenant, is taken
over by nobody but an administrator.

What lies below a verified domain counts as verified, too (SES's developer guide, "Verified identities"), so
the same holds for a subdomain or an address of such a domain. A domain *above* one that is there already
needs its own proof: that it is there does no harm.
"""

from __future__ import annotations

from core.db.models import Tenant
from core.errors import Conflict
from core.identities.names import above, domain_of
from core.providers.base import EmailProvider, IdentityState


def is_ours(provider: EmailProvider, tenant: Tenant, name: str, state: IdentityState) -> bool:
    """Arranged here, for this tenant."""
    if state.owner is not None:
        return state.owner == tenant.slug
    return provider.identity_arn(name) in provider.associations(tenant.slug)


def refuse_inherited(provider: EmailProvider, tenant: Tenant, name: str) -> None:
    """Conflict below a domain that was verified for somebody else."""
    domain = domain_of(name)
    for parent in [*([domain] if domain != name else []), *above(domain)]:
        state = provider.find_identity(parent)
        if state and state.verified_for_sending and not is_ours(provider, tenant, parent, state):
            raise Conflict(
                f"{name} belongs to {parent}, which is verified in this AWS account and was not arranged "
                "here. An administrator can add it."
            )
