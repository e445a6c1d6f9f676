"""SES's older API (2010-12-01), as far as it still has something of its own: a domain's TXT record at
_amazonses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from simulator import identities, query, ses, verification
from simulator.errors import SesError
from simulator.http import Request, Response, Send
from simulator.state import Identity

if TYPE_CHECKING:
    from simulator.world import World

NAMESPACE = "http://ses.amazonaws.com/doc/2010-12-01/"
MAX_BODY = 1024 * 1024
_SIGNED_FOR_SES = re.compile(r"Credential=[^/,\s]+/\d{8}/[a-z0-9-]+/ses/aws4_request")
_THROTTLED = "TooManyRequestsException"
_CODES = {_THROTTLED: "Throttling", "InternalServiceErrorException": "InternalFailure"}
_STATUSES = {
    verification.NOT_STARTED: "NotStarted",
    verification.PENDING: "Pending",
    verification.SUCCESS: "Success",
    verification.TEMPORARY_FAILURE: "TemporaryFailure",
    verification.FAILED: "Failed",
}


def is_meant(request: Request) -> bool:
    """Whether a request that is not under SES v2's paths was signed for SES."""
    return _SIGNED_FOR_SES.search(request.headers.get("authorization", "")) is not None


async def answer(world: World, request: Request, send: Send) -> Response | None:
    """None: the connection was dropped, as a fault asked."""
    fields = query.form(await request.body(MAX_BODY))
    action = fields.get("Action", "")

    def perform(body: bytes) -> Response:
        implementation = ACTIONS.get(action)
        if implementation is None:
            raise SesError("InvalidAction", f"{_KNOWN}, not {action or 'nothing'}.", 400)
        return query.result(action, implementation(world, fields), NAMESPACE)

    return await ses.Exchange(world, request, send, action or "(no action)", perform, _refusal).attend()


def _refusal(error: SesError) -> Response:
    """In the older API's codes: there, who is too fast gets 400 Throttling."""
    status = 400 if error.code == _THROTTLED else error.status or 400
    return query.refusal(status, _CODES.get(error.code, error.code), error.message)


def verify_domain_identity(world: World, fields: dict[str, str]) -> dict[str, Any]:
    """The domain's token; SES looks for it from now, again when it had given up."""
    name = fields.get("Domain", "").lower()
    if "@" in name or not identities.is_domain(name):
        raise SesError("InvalidParameterValue", f"Invalid domain name {name}.", 400)
    now = world.clock.now()
    row = world.identities.get(name) or Identity(
        name=name,
        type="DOMAIN",
        created_at=now,
        tokens=[],
        watched_from=now,
        dkim_status=verification.NOT_STARTED,
    )
    if row.text_status in (verification.NOT_STARTED, verification.FAILED):
        row.text_status, row.text_watched_from = verification.PENDING, now
        verification.check(world, row)
        world.identities.put(name, row)
    return {"VerificationToken": verification.token_of(name)}


def get_identity_verification_attributes(world: World, fields: dict[str, str]) -> dict[str, Any]:
    found = []
    for name in query.members(fields, "Identities"):
        row = world.identities.get(name.lower())
        if row is None:
            continue  # as SES does: what it does not know is left out
        verification.check(world, row)
        attributes = {"VerificationStatus": _STATUSES[row.status]}
        if row.text_status != verification.NOT_STARTED:
            attributes["VerificationToken"] = verification.token_of(row.name)
        found.append((name, attributes))
    return {"VerificationAttributes": found}


ACTIONS = {
    "VerifyDomainIdentity": verify_domain_identity,
    "GetIdentityVerificationAttributes": get_identity_verification_attributes,
}
_KNOWN = f"Of SES's older API the simulator answers {' and '.join(ACTIONS)}"
