"""Identities: a domain is verified when, and only as long as, the simulated DNS holds its three CNAMEs."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

from simulator.errors import SesError, already_exists, bad_request, not_found
from simulator.paging import page
from simulator.settings import SIGNING_HOSTED_ZONE
from simulator.state import Identity, MailFrom
from simulator.tenants import refuse_while_associated

if TYPE_CHECKING:
    from simulator.world import Call, World

WATCHED_SECONDS = 72 * 3600
UNANSWERED = "DNS_SERVER_ERROR"
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


def check(world: World, row: Identity) -> None:
    """What SES does from time to time: look for the records, give up after 72 hours."""
    before = (row.status, row.error_type, row.mail_from and row.mail_from.status)
    if row.type == "DOMAIN" and row.status != "FAILED":
        _check_dkim(world, row)
    if row.mail_from and row.mail_from.status != "FAILED":
        _check_mail_from(world, row, row.mail_from)
    if before != (row.status, row.error_type, row.mail_from and row.mail_from.status):
        world.identities.put(row.name, row)


def check_all(world: World) -> None:
    for row in world.identities:
        check(world, row)


def _check_dkim(world: World, row: Identity) -> None:
    now = world.clock.now()
    row.checked_at = now
    row.error_type = dkim_error(world, row)
    if row.error_type is None:
        row.status, row.succeeded_at = "SUCCESS", now
        return
    if row.error_type == UNANSWERED and row.status == "SUCCESS":
        return  # nobody can tell: what was found before holds
    if row.status == "SUCCESS":
        row.status, row.watched_from = "TEMPORARY_FAILURE", now
    elif now - row.watched_from > WATCHED_SECONDS:
        row.status = "FAILED"


def dkim_error(world: World, row: Identity) -> str | None:
    """None when all three CNAMEs are right, else SES's ErrorType for the first that is not."""
    for token in row.tokens:
        name = f"{token}._domainkey.{row.name}"
        if world.dns_faults.unanswered(name, "CNAME"):
            return UNANSWERED
        values = [value.rstrip(".").lower() for value in world.zone.values(name, "CNAME")]
        if values == [f"{token}.{SIGNING_HOSTED_ZONE}"]:
            continue
        if values:
            return "INVALID_VALUE"
        return "TYPE_NOT_FOUND" if world.zone.types_at(name) else "HOST_NOT_FOUND"
    return None


def _check_mail_from(world: World, row: Identity, mail_from: MailFrom) -> None:
    exchanges = world.zone.values(mail_from.domain, "MX")
    wanted = re.compile(r"\d+ feedback-smtp\.[a-z0-9-]+\.amazonses\.com\.", re.IGNORECASE)
    texts = [value.replace('" "', "").strip('"') for value in world.zone.values(mail_from.domain, "TXT")]
    right = (
        len(exchanges) == 1
        and wanted.fullmatch(exchanges[0]) is not None
        and any(text.startswith("v=spf1 ") and "include:amazonses.com" in text for text in texts)
    )
    now = world.clock.now()
    if right:
        mail_from.status = "SUCCESS"
    elif mail_from.status == "SUCCESS":
        mail_from.status, mail_from.watched_from = "TEMPORARY_FAILURE", now
    elif now - mail_from.watched_from > WATCHED_SECONDS:
        mail_from.status = "FAILED"


def create_email_identity(world: World, call: Call) -> dict[str, Any]:
    name = call.input["EmailIdentity"].lower()
    kind = "EMAIL_ADDRESS" if "@" in name else "DOMAIN"
    if not _DOMAIN.fullmatch(name.rpartition("@")[2]):
        raise bad_request(f"Invalid email identity {name}.")
    if name in world.identities:
        raise already_exists(f"Email identity {name} already exist.")
    now = world.clock.now()
    row = Identity(
        name=name,
        type=kind,
        created_at=now,
        tokens=[_token() for _ in range(3)] if kind == "DOMAIN" else [],
        watched_from=now,
        configuration_set=_known_set(world, call),
        tags=call.input.get("Tags") or [],
    )
    world.identities.put(name, row)
    return {
        "IdentityType": kind,
        "VerifiedForSendingStatus": row.verified,
        "DkimAttributes": _dkim_attributes(row),
    }


def _token() -> str:
    return "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(32))


def _known_set(world: World, call: Call) -> str | None:
    name = call.input.get("ConfigurationSetName")
    if name and name not in world.configuration_sets:
        raise not_found(f"Configuration set <{name}> does not exist.")
    return name or None


def _dkim_attributes(row: Identity) -> dict[str, Any]:
    domain = row.type == "DOMAIN"
    attributes = {
        "SigningEnabled": row.signing_enabled and domain,
        "Status": row.status if domain else "NOT_STARTED",
        "SigningAttributesOrigin": "AWS_SES",
        "NextSigningKeyLength": "RSA_2048_BIT",
        "CurrentSigningKeyLength": "RSA_2048_BIT",
    }
    if domain:
        attributes |= {
            "Tokens": row.tokens,
            "SigningHostedZone": SIGNING_HOSTED_ZONE,
            "LastKeyGenerationTimestamp": row.created_at,
        }
    return attributes


def get_email_identity(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    check(world, row)
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
        if authority := world.zone.authority(row.name):
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
    """Starts SES's 72 hours again, with the same tokens."""
    row = get(world, call.input["EmailIdentity"])
    if row.type != "DOMAIN" or call.input["SigningAttributesOrigin"] != "AWS_SES":
        raise SesError(
            "BadRequestException", "The simulator signs with Easy DKIM (AWS_SES) for domains only."
        )
    row.status, row.watched_from = "PENDING", world.clock.now()
    check(world, row)
    world.identities.put(row.name, row)
    return {"DkimStatus": row.status, "DkimTokens": row.tokens}


def put_feedback_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["EmailIdentity"])
    row.feedback_forwarding = bool(call.input.get("EmailForwardingEnabled"))
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
}
