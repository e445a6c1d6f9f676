"""SendEmail and SendBulkEmail: gates, checks of the content, limits, and one answer per entry."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any

import orjson

from simulator import configuration, content, delivery, identities, suppression, tenants
from simulator.delivery import Block, Mail, Submission
from simulator.errors import SesError, bad_request, not_found
from simulator.faults import ERROR, THROTTLE
from simulator.limits import QUOTA
from simulator.scenario import MAILBOX_SIMULATOR
from simulator.settings import ACCOUNT_ID
from simulator.state import ConfigurationSet, Identity, Tenant

if TYPE_CHECKING:
    from simulator.world import Call, World

MAX_DESTINATIONS = 50
MAX_HEADERS = 15
MAX_HEADER_BYTES = 996
MAX_INLINE_BYTES = 1024 * 1024
MAX_MESSAGE_BYTES = 40 * 1024 * 1024
_LOCAL_PART = r"""([A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+|"[ !#-~]+")"""
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_LOCAL_PART}@({_LABEL}\.)+[A-Za-z0-9-]{{2,63}}")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")
_HEADER_NAME = re.compile(r"[!-9;-~]{1,126}")
_HEADER_VALUE = re.compile(r"[ -~]{1,995}")
TOO_FAST = "Maximum sending rate exceeded."
QUOTA_USED = "Daily message quota exceeded."


def admit(world: World, call: Call) -> Submission:
    """Every gate that holds for the whole call, in SES's codes and words."""
    _admit_account(world)
    tenant = _tenant(world, call)
    sender = call.input.get("FromEmailAddress") or ""
    address = bare(sender)
    if not _ADDRESS.fullmatch(address):
        raise bad_request("Missing or invalid From address.")
    identity = identities.for_sending(world, address)
    named = call.input.get("ConfigurationSetName") or (identity.configuration_set if identity else None)
    configuration_set = configuration.get(world, named) if named else None
    if tenant:
        _admit_tenant(world, call, tenant, identity, configuration_set)
    _admit_sender(call, address, identity)
    if configuration_set and not configuration_set.sending_enabled:
        raise SesError(
            "SendingPausedException", f"Sending is paused for configuration set {configuration_set.name}"
        )
    owner, reasons = suppression.applicable(world, configuration_set, tenant)
    return Submission(
        call=call,
        sender=sender,
        identity_arn=call.arn(f"identity/{identity.name if identity else address}"),
        from_domain=address.rpartition("@")[2],
        tenant=tenant,
        configuration_set=configuration_set,
        tags=_own_tags(call, configuration_set, address),
        targets=delivery.targets(world, configuration_set, call.region),
        suppression_list=owner,
        suppression_reasons=reasons,
        reply_to=_reply_to(call),
    )


def _admit_account(world: World) -> None:
    account = world.account
    if account.enforcement_status == "SHUTDOWN":
        raise SesError("AccountSuspendedException", "Account is suspended")
    if not account.sending_enabled:
        raise SesError(
            "SendingPausedException",
            "Email sending is disabled for this account. For more information, please check the inbox of the "
            "email address associated with your AWS account.",
        )


def _tenant(world: World, call: Call) -> Tenant | None:
    name = call.input.get("TenantName")
    if not name:
        return None
    row = world.tenants.get(name)
    if row is None:
        raise not_found(f"Tenant {name} for AwsAccountId {ACCOUNT_ID} not found.")
    return row


def _admit_tenant(
    world: World,
    call: Call,
    tenant: Tenant,
    identity: Identity | None,
    configuration_set: ConfigurationSet | None,
) -> None:
    arns = [call.arn(f"identity/{identity.name}")] if identity else []
    if configuration_set:
        arns.append(call.arn(f"configuration-set/{configuration_set.name}"))
    foreign = [arn for arn in arns if not tenants.associated(world, tenant.name, arn)]
    if foreign:
        raise SesError(
            "AccessDeniedException", f"Tenant not associated with resources [{', '.join(foreign)}].", 403
        )
    if configuration_set is None:
        raise bad_request("A configuration set associated with the tenant is required.")
    if tenant.sending_status() == "DISABLED":
        answer = world.scenario.tenant_paused_error
        raise SesError(answer["code"], f"Sending is paused for tenant {tenant.name}", answer["status"])


def _admit_sender(call: Call, address: str, identity: Identity | None) -> None:
    if identity is None or not identity.verified:
        raise unverified(call, [address])
    mail_from = identity.mail_from
    if mail_from and mail_from.behavior == "REJECT_MESSAGE" and mail_from.status != "SUCCESS":
        raise SesError(
            "MailFromDomainNotVerifiedException",
            f"The sending domain's MAIL FROM domain {mail_from.domain} is not verified.",
        )


def unverified(call: Call, addresses: list[str]) -> SesError:
    return SesError(
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region "
        f"{call.region.upper()}: {', '.join(addresses)}",
    )


def _reply_to(call: Call) -> str:
    given = call.input.get("ReplyToAddresses") or []
    if not all(_ADDRESS.fullmatch(bare(address)) for address in given):
        raise bad_request("Illegal reply-to address.")
    return ", ".join(given)


def _own_tags(call: Call, row: ConfigurationSet | None, address: str) -> dict[str, list[str]]:
    tags = {"ses:operation": [call.operation]}
    if row:
        tags["ses:configuration-set"] = [row.name]
    return tags | {
        "ses:source-ip": [call.source_ip],
        "ses:source-tls-version": ["TLSv1.3"],
        "ses:from-domain": [address.rpartition("@")[2]],
        "ses:caller-identity": [call.caller],
    }


def bare(address: str) -> str:
    """The address inside 'Name <address>'."""
    return parseaddr(address)[1] if "<" in address else address.strip()


def _recipients(world: World, call: Call, destination: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(To as written, all recipients). Raises what SES says of a recipient it cannot take."""
    to = destination.get("ToAddresses") or []
    others = [*(destination.get("CcAddresses") or []), *(destination.get("BccAddresses") or [])]
    everybody = [bare(address) for address in (*to, *others)]
    if not everybody:
        raise bad_request("At least one recipient is required.")
    if len(everybody) > MAX_DESTINATIONS:
        raise bad_request(f"Recipient count exceeds {MAX_DESTINATIONS}.")
    for address in everybody:
        if not address.isascii():
            raise bad_request(
                "Local address or domain contains non-ASCII characters; use punycode for domains."
            )
        if not _ADDRESS.fullmatch(address):
            raise bad_request("Missing final '@domain'" if "@" not in address else "Illegal address")
    if not world.account.production_access:
        _refuse_strangers(world, call, everybody)
    return list(to), everybody


def _refuse_strangers(world: World, call: Call, recipients: list[str]) -> None:
    """In the sandbox only verified recipients, and the mailbox simulator's, get mail."""
    failed = []
    for address in recipients:
        identity = identities.for_sending(world, address)
        simulated = address.lower().endswith("@" + MAILBOX_SIMULATOR)
        if not simulated and (identity is None or not identity.verified):
            failed.append(address)
    if failed:
        raise unverified(call, failed)


def _tags(given: list[dict[str, str]] | None) -> dict[str, str]:
    tags = {each["Name"]: each["Value"] for each in given or ()}
    for name, value in tags.items():
        for part in (name, value):
            if not _TAG.fullmatch(part):
                raise bad_request(
                    f"Invalid message tag <{part}>: it must contain only alphanumeric ASCII characters, "
                    "'_' and '-', and be at most 256 characters."
                )
    return tags


def _headers(*lists: list[dict[str, str]] | None) -> list[tuple[str, str]]:
    """Later lists override the names of earlier ones."""
    merged: dict[str, tuple[str, str]] = {}
    for each in lists:
        if each and len(each) > MAX_HEADERS:
            raise bad_request(f"The number of headers exceeds {MAX_HEADERS}.")
        for header in each or ():
            name, value = header["Name"], header["Value"]
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise bad_request(f"Invalid header <{name[:126]}>.")
            if len(name) + len(value) > MAX_HEADER_BYTES:
                raise bad_request(f"Header <{name}> is longer than {MAX_HEADER_BYTES} characters.")
            merged[name.lower()] = (name, value)
    return list(merged.values())


def _fields(*texts: str | None) -> dict[str, Any]:
    """Template data; later JSON objects override earlier ones."""
    merged: dict[str, Any] = {}
    for text in texts:
        try:
            value = orjson.loads(text) if text else {}
        except orjson.JSONDecodeError:
            raise bad_request("Template data is not valid JSON.") from None
        if not isinstance(value, dict):
            raise bad_request("Template data is not a JSON object.")
        merged |= value
    return merged


def _template(call: Call, given: dict[str, Any]) -> content.Content:
    inline = given.get("TemplateContent")
    if inline is None:
        name = given.get("TemplateName") or given.get("TemplateArn") or ""
        raise not_found(f"Template {name} does not exist.")
    if call.body_size > MAX_INLINE_BYTES:
        raise bad_request("A request with inline template content may be 1 MB at most.")
    return content.compiled(inline.get("Subject") or "", inline.get("Html") or "", inline.get("Text") or "")


def _simple(call: Call, given: dict[str, Any]) -> content.Content:
    if call.body_size > MAX_MESSAGE_BYTES:
        raise bad_request("Message length is more than 40 MB.")
    body = given["Body"]
    parts = {name: (body.get(name) or {}).get("Data", "") for name in ("Html", "Text")}
    if not any(part in body for part in parts):
        raise bad_request("Missing required body.")
    return content.plain(given["Subject"]["Data"], parts["Html"], parts["Text"])


def _mail(world: World, call: Call) -> Mail:
    given = call.input["Content"]
    kinds = [kind for kind in ("Simple", "Raw", "Template") if given.get(kind) is not None]
    if len(kinds) != 1:
        raise bad_request("Exactly one of Simple, Raw and Template must be given as content.")
    if kinds == ["Raw"]:
        raise bad_request("The simulator takes Simple and Template content; Raw is not simulated.")
    part = given[kinds[0]]
    to, recipients = _recipients(world, call, call.input.get("Destination") or {})
    return Mail(
        to=to,
        recipients=recipients,
        content=_simple(call, part) if kinds == ["Simple"] else _template(call, part),
        fields=_fields(part.get("TemplateData")),
        tags=_tags(call.input.get("EmailTags")),
        headers=_headers(part.get("Headers")),
        template_name=part.get("TemplateName") or "",
    )


def send_email(world: World, call: Call) -> dict[str, Any]:
    submission = admit(world, call)
    mail = _mail(world, call)
    now = world.clock.now()
    refused = _over_limit(world, mail, now)
    if refused == QUOTA:
        raise SesError("LimitExceededException", QUOTA_USED)
    if refused:
        raise SesError("TooManyRequestsException", TOO_FAST)
    block = Block(world)
    number = delivery.accept(world, block, submission, mail, now)
    block.write()
    return {"MessageId": number}


def _over_limit(world: World, mail: Mail, now: float) -> str | None:
    account = world.account
    counted = delivery.counted(mail.recipients)
    return world.limits.take(
        now, len(mail.recipients), counted, account.max_send_rate, account.max_24_hour_send
    )


def send_bulk_email(world: World, call: Call) -> dict[str, Any]:
    entries = call.input["BulkEmailEntries"]
    if not 1 <= len(entries) <= MAX_DESTINATIONS:
        raise bad_request(f"The number of bulk entries must be from 1 to {MAX_DESTINATIONS}.")
    template = call.input["DefaultContent"].get("Template")
    if template is None:
        raise bad_request("DefaultContent.Template is required.")
    submission = admit(world, call)
    compiled = _template(call, template)
    default_tags = _tags(call.input.get("DefaultEmailTags"))
    block = Block(world)
    results = []
    for entry in entries:
        results.append(_entry(world, block, submission, template, compiled, default_tags, entry))
    block.write()
    return {"BulkEmailEntryResults": results}


def _entry(
    world: World,
    block: Block,
    submission: Submission,
    template: dict[str, Any],
    compiled: content.Content,
    default_tags: dict[str, str],
    entry: dict[str, Any],
) -> dict[str, Any]:
    """One entry's own answer inside HTTP 200."""
    call = submission.call
    try:
        to, recipients = _recipients(world, call, entry["Destination"])
        replacement = (entry.get("ReplacementEmailContent") or {}).get("ReplacementTemplate") or {}
        mail = Mail(
            to=to,
            recipients=recipients,
            content=compiled,
            fields=_fields(template.get("TemplateData"), replacement.get("ReplacementTemplateData")),
            tags={**default_tags, **_tags(entry.get("ReplacementTags"))},
            headers=_headers(template.get("Headers"), entry.get("ReplacementHeaders")),
            template_name=template.get("TemplateName") or "",
        )
    except SesError as e:
        status = "MESSAGE_REJECTED" if e.code == "MessageRejected" else "INVALID_PARAMETER"
        return {"Status": status, "Error": e.message}
    if fault := world.faults.strike((THROTTLE, ERROR), call.operation, entry=True):
        code = fault.code or ("ACCOUNT_THROTTLED" if fault.kind == THROTTLE else "TRANSIENT_FAILURE")
        return {"Status": code, "Error": TOO_FAST if fault.kind == THROTTLE else "Transient failure."}
    now = world.clock.now()
    refused = _over_limit(world, mail, now)
    if refused == QUOTA:
        return {"Status": "ACCOUNT_DAILY_QUOTA_EXCEEDED", "Error": QUOTA_USED}
    if refused:
        return {"Status": "ACCOUNT_THROTTLED", "Error": TOO_FAST}
    return {"Status": "SUCCESS", "MessageId": delivery.accept(world, block, submission, mail, now)}


OPERATIONS = {"SendEmail": send_email, "SendBulkEmail": send_bulk_email}
