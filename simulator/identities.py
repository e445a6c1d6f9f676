"""Identities: a domain is verified when, and only as long as, the simulated DNS holds its three CNAMEs or the
TXT record of SES's older API; an address when its owner has clicked."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from simulator import verification
from simulator.errors import SesError, already_exists, bad_request, not_found
from simulator.paging import page
from simulator.settings import SIGNING_HOSTED_ZONE
from simulator.state import Identity, MailFrom
from simulator.tenants import refuse_while_associated

if TYPE_CHECKING:
    from simulator.world import Call, World

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{2,63}", re.IGNORECASE)


def get(world: World, name: str) -> Identity:
    row = world.identities.get(name.lower())
    if row is None:
        raise not_found(f"Email identity {name} does not exist.")
    return row


def for_sending(world: World, address: str) -> Identity | None:
    """The identity a From address belongs to: the address itself, else its domain, else a parent domain."""
    exact = world.identities.get(address.lower())
    if exact:
        return exact
    labels = address.rpartition("@")[2].lower().split(".")
    parents = (world.identities.get(".".join(labels[start:])) for start in range(len(labels) - 1))
    found = [row for row in parents if row]
    return next((row for row in found if row.verified), found[0] if found else None)


def is_domain(name: str) -> bool:
    return _DOMAIN.fullmatch(name) is not None


def create_email_identity(world: World, call: Call) -> dict[str, Any]:
    name = call.input["EmailIdentity"].lower()
    kind = "EMAIL_ADDRESS" if "@" in name else "DOMAIN"
    if not is_domain(name.rpartition("@")[2]):
        raise bad_request(f"Invalid email identity {name}.")
    if name in world.identities:
        raise already_exists(f"Email identity {name} already exist.")
    now = world.clock.now()
    row = Identity(
        name=name,
        type=kind,
        created_at=now,
        tokens=_tokens() if kind == "DOMAIN" else [],
        watched_from=now,
        dkim_status=verification.PENDING if kind == "DOMAIN" else verification.NOT_STARTED,
        configuration_set=_known_set(world, call),
        tags=call.input.get("Tags") or [],
    )
    world.identities.put(name, row)
    return {
        "IdentityType": kind,
        "VerifiedForSendingStatus": row.verified,
        "DkimAttributes": _dkim_attributes(row),
    }


def _tokens() -> list[str]:
    return ["".join(secrets.choice(_BASE32) for _ in range(32)) for _ in range(3)]


def _known_set(world: World, call: Call) -> str | None:
    name = call.input.get("ConfigurationSetName")
    if name and name not in world.configuration_sets:
        raise not_found(f"Configuration set <{name}> does not exist.")
    return name or None


def _dkim_attributes(row: Identity) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "SigningEnabled": row.signing_enabled and bool(row.tokens),
        "Status": row.dkim_status,
        "SigningAttributesOrigin": "AWS_SES",
        "NextSigningKeyLength": "RSA_2048_BIT",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
    }
    if row.tokens:
        attributes |= {
            "Tokens": row.tokens,
            "SigningHostedZone": SIGNING_HOSTED_ZONE,
            "LastKeyGenerationTimestamp": row.created_at,
        }
    return attributes


def get_email_identity(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    verification.check(world, row)
    answer: dict[str, Any] = {
        "IdentityType": row.type,
        "FeedbackForwardingStatus": row.feedback_forwarding,
        "VerifiedForSendingStatus": row.verified,
        "DkimAttributes": _dkim_attributes(row),
        "Policies": {},
        "Tags": row.tags,
        "VerificationStatus": row.status,
        "VerificationInfo": _verification(world, row),
    }
    if row.mail_from:
        answer["MailFromAttributes"] = {
            "MailFromDomain": row.mail_from.domain,
            "MailFromDomainStatus": row.mail_from.status,
            "BehaviorOnMxFailure": row.mail_from.behavior,
        }
    if row.configuration_set:
        answer["ConfigurationSetName"] = row.configuration_set
    return answer


def _verification(world: World, row: Identity) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if row.checked_at:
        found["LastCheckedTimestamp"] = row.checked_at
    if row.succeeded_at:
        found["LastSuccessTimestamp"] = row.succeeded_at
    if row.error_type:
        found["ErrorType"] = row.error_type
    authority = world.zone.authority(row.name)
    if row.checked_at and authority:
        server, admin, serial = authority.split()[:3]
        found["SOARecord"] = {
            "PrimaryNameServer": server.rstrip("."),
            "AdminEmail": admin.rstrip("."),
            "SerialNumber": int(serial),
        }
    return found


def delete_email_identity(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    refuse_while_associated(world, call.arn(f"identity/{row.name}"))
    world.identities.remove(row.name)
    return {}


def list_email_identities(world: World, call: Call) -> dict[str, Any]:
    chosen = call.input.get("Filter") or {}
    rows = [
        {
            "IdentityType": row.type,
            "IdentityName": row.name,
            "SendingEnabled": row.verified,
            "VerificationStatus": row.status,
        }
        for row in world.identities
        if chosen.get("IDENTITY_NAME_CONTAINS", "").lower() in row.name
        and chosen.get("IDENTITY_TYPE", row.type) == row.type
        and chosen.get("VERIFICATION_STATUS", row.status) == row.status
    ]
    return page(call, rows, "EmailIdentities", 25)


def put_mail_from_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    domain = (call.input.get("MailFromDomain") or "").lower()
    if domain and not domain.endswith("." + row.name.rpartition("@")[2]):
        raise bad_request(
            f"Provided MAIL-FROM domain <{domain}> is not subdomain of the domain of the identity "
            f"<{row.name}>."
        )
    behavior = call.input.get("BehaviorOnMxFailure") or "USE_DEFAULT_VALUE"
    row.mail_from = MailFrom(domain, behavior, world.clock.now()) if domain else None
    world.identities.put(row.name, row)
    return {}


def put_configuration_set_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    row.configuration_set = _known_set(world, call)
    world.identities.put(row.name, row)
    return {}


def put_dkim_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    row.signing_enabled = bool(call.input.get("SigningEnabled"))
    world.identities.put(row.name, row)
    return {}


def put_dkim_signing_attributes(world: World, call: Call) -> dict[str, Any]:
    """Starts SES's 72 hours again, with the same tokens; begins Easy DKIM where there was none."""
    row = get(world, call.input["EmailIdentity"])
    if row.type != "DOMAIN" or call.input["SigningAttributesOrigin"] != "AWS_SES":
        raise SesError(
            "BadRequestException", "The simulator signs with Easy DKIM (AWS_SES) for domains only."
        )
    row.tokens = row.tokens or _tokens()
    row.dkim_status, row.watched_from = verification.PENDING, world.clock.now()
    verification.check(world, row)
    world.identities.put(row.name, row)
    return {
        "DkimStatus": row.dkim_status,
        "DkimTokens": row.tokens,
        "SigningHostedZone": SIGNING_HOSTED_ZONE,
    }


def put_feedback_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    row.feedback_forwarding = bool(call.input.get("EmailForwardingEnabled"))
    world.identities.put(row.name, row)
    return {}


def tag_resource(world: World, call: Call) -> dict[str, Any]:
    kind, _, name = call.input["ResourceArn"].rpartition(":")[2].partition("/")
    if kind != "identity":
        raise bad_request("The simulator tags identities only.")
    row = get(world, name)
    given = {tag["Key"]: tag for tag in (*row.tags, *call.input["Tags"])}
    row.tags = list(given.values())
    world.identities.put(row.name, row)
    return {}


OPERATIONS = {
    "CreateEmailIdentity": create_email_identity,
    "GetEmailIdentity": get_email_identity,
    "DeleteEmailIdentity": delete_email_identity,
    "ListEmailIdentities": list_email_identities,
    "PutEmailIdentityMailFromAttributes": put_mail_from_attributes,
    "PutEmailIdentityConfigurationSetAttributes": put_configuration_set_attributes,
    "PutEmailIdentityDkimAttributes": put_dkim_attributes,
    "PutEmailIdentityDkimSigningAttributes": put_dkim_signing_attributes,
    "PutEmailIdentityFeedbackAttributes": put_feedback_attributes,
    "TagResource": tag_resource,
}
