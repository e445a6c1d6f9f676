"""At SES: an identity made, looked at, begun again. Calls out, stores nothing."""

from __future__ import annotations

import logging
from dataclasses import replace

from core import dns
from core.app import App
from core.db.models import Identity, Tenant
from core.db.states import VerificationStatus
from core.dns import Finding
from core.errors import Conflict, ProviderError
from core.identities import ownership
from core.identities.records import DOMAIN, all_found
from core.providers.base import IdentityState

MAIL_FROM_NAMES = ("bounce", "mail-from", "ses-bounce")
MAIL_FROM_OFF = "OFF"  # somebody chose amazonses.com: none is set by itself
NO_TOKEN = ""  # the credentials may not ask for one

logger = logging.getLogger(__name__)


def create(
    app: App, tenant: Tenant, region: str, name: str, *, trusted: bool = False
) -> tuple[IdentityState, bool]:
    """And whether it was adopted: the AWS account had it already, not for this tenant. Its DKIM and MAIL FROM
    stay as they are. Conflict instead, also for what lies below such a domain, unless whoever asks is
    `trusted`: see ownership.py."""
    configuration_set, provider = _configuration_set(tenant), app.providers.email(region)
    if not trusted:
        ownership.refuse_inherited(provider, tenant, name)
    made = provider.create_identity(name, configuration_set, tenant.slug)
    adopted = not made and not ownership.is_ours(provider, tenant, name, provider.get_identity(name))
    if adopted and not trusted:
        raise Conflict(
            f"{name} is in this AWS account already and was not arranged here. An administrator can add it."
        )
    if adopted:
        provider.tag_identity(name, tenant.slug)
    return joined(app, tenant, region, name), adopted


def joined(app: App, tenant: Tenant, region: str, name: str) -> IdentityState:
    """One that SES has and that is the tenant's: given whatever of it is missing."""
    configuration_set, provider = _configuration_set(tenant), app.providers.email(region)
    state = provider.get_identity(name)
    if state.configuration_set != configuration_set:
        provider.set_configuration_set(name, configuration_set)
        state = replace(state, configuration_set=configuration_set)
    provider.associate(tenant.slug, provider.identity_arn(name))
    return state


def token(app: App, region: str, identity: Identity) -> str | None:
    """The one that is known, or else asked for; None where SES cannot tell now."""
    if identity.type != DOMAIN or identity.verification_token is not None:
        return identity.verification_token
    try:
        return app.providers.email(region).verification_token(identity.name) or NO_TOKEN
    except ProviderError as e:
        logger.warning("no verification token for %s yet: %s", identity.name, e)
        return None


def with_mail_from(app: App, region: str, identity: Identity, state: IdentityState) -> IdentityState:
    """The state with a MAIL FROM domain when SES has none: the one that is wanted, or else one that was free
    in DNS unless somebody chose to have none. Nothing depends on it: where SES or DNS fails, the next check
    tries again."""
    if identity.type != DOMAIN or state.mail_from_domain or identity.mail_from_status == MAIL_FROM_OFF:
        return state
    resolver = dns.Resolver(app.settings.dns_servers)
    wanted = identity.mail_from_domain
    names = [wanted] if wanted else [f"{label}.{identity.name}" for label in MAIL_FROM_NAMES]
    free = next((name for name in names if dns.mail_from_taken(name, resolver) is None), None)
    if free is None:
        return state
    try:
        app.providers.email(region).set_mail_from(identity.name, free)
    except ProviderError as e:
        logger.warning("no MAIL FROM domain for %s yet: %s", identity.name, e)
        return state
    return replace(state, mail_from_domain=free, mail_from_status=VerificationStatus.PENDING)


def begun_again(
    app: App, region: str, name: str, state: IdentityState, findings: list[Finding]
) -> IdentityState:
    """SES looks for records for 72 hours and then gives up, for good. When they are right by now it is asked
    to look again, and its new state comes back; otherwise the one that was given."""
    provider = app.providers.email(region)
    lost_dkim, lost_mail_from = _given_up(state, findings)
    if not lost_dkim and not lost_mail_from:
        return state
    try:
        if lost_dkim:
            provider.restart_verification(name)
        if lost_mail_from:
            provider.set_mail_from(name, state.mail_from_domain)
        return provider.get_identity(name)
    except ProviderError as e:
        logger.warning("SES was not asked to look at %s again: %s", name, e)
        return state


def explained(error: ProviderError, name: str) -> ProviderError:
    """SES's refusal of a name, for whoever typed it; any other error as it is."""
    if error.code != "BadRequestException" or "CreateEmailIdentity" not in str(error):
        return error
    what = "an address" if "@" in name else "a domain"
    return ProviderError(
        f"Amazon SES does not accept {name} as {what}: check the spelling. ({error})",
        permanent=error.permanent,
        code=error.code,
    )


def _configuration_set(tenant: Tenant) -> str:
    if tenant.configuration_set is None:
        raise Conflict(f"{tenant.name} is not complete in SES. Repair the tenant first.")
    return tenant.configuration_set


def _given_up(state: IdentityState, findings: list[Finding]) -> tuple[bool, bool]:
    """Whether SES has given up DKIM, or MAIL FROM, whose records are right now."""
    failed = VerificationStatus.FAILED
    own = [finding for finding in findings if finding.record.name == state.mail_from_domain]
    return (
        state.dkim_status == failed and all_found(findings, required=True),
        state.mail_from_status == failed and all_found(own, required=False),
    )
