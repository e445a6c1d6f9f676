"""Standing: what the checklist says about the AWS account, the tenant's set-up in it and its senders."""

from __future__ import annotations

from core.checklist.facts import Facts
from core.checklist.items import Part, State, aged
from core.db.states import ResourceState

SANDBOX = "In the sandbox: 200 mails in 24 hours, one a second, to verified recipients only."
_DECLINED = ("DENIED", "FAILED")


def region(facts: Facts) -> Part:
    account = facts.account
    if account.checked_at is None:
        found = f"{account.region}: Amazon SES has not answered yet."
        return Part(State.UNKNOWN, found, "Run postyard doctor: it says what is wrong.", "health")
    if not account.sending_enabled:
        found = f"{account.region}: Amazon SES has paused the whole AWS account."
        return Part(State.TODO, found, "See the SES console. Mail waits until SES allows it.", "health")
    return Part(
        State.DONE, f"{account.region}, AWS account {account.aws_account_id or 'unknown'}.", "", "health"
    )


def set_up(facts: Facts) -> Part:
    bad = [r for r in facts.resources if r.state not in (ResourceState.DONE, ResourceState.UNKNOWN)]
    if bad or facts.tenant.provisioned_at is None:
        names = ", ".join(f"{r.key} ({r.state})" for r in bad) or "it was begun and never finished"
        return Part(State.TODO, f"Not complete: {names}.", "Repair the tenant.", "tenants")
    unknown = ", ".join(r.key for r in facts.resources if r.state == ResourceState.UNKNOWN)
    if unknown or not facts.resources:
        found = f"AWS could not be asked about: {unknown}." if unknown else "Not looked at yet."
        return Part(State.UNKNOWN, found, "Check the set-up again.", "tenants")
    age = facts.now - max(r.checked_at for r in facts.resources)
    return aged(Part(State.DONE, f"All {len(facts.resources)} parts are there", "", "tenants"), age)


def production(facts: Facts) -> Part:
    account = facts.account
    if account.checked_at is None:
        return Part(
            State.UNKNOWN,
            "Amazon SES has not answered yet.",
            "Run postyard doctor: it says what is wrong.",
            "health",
        )
    if account.production_access:
        a_day = "without limit" if account.max_24_hour_send < 0 else f"{account.max_24_hour_send:,.0f} mails"
        found = f"Granted: {a_day} in 24 hours, {account.max_send_rate:g} a second."
        return Part(State.DONE, found, "", "accounts")
    if account.review_status == "PENDING":
        return Part(State.WAITING, f"{SANDBOX} AWS reviews the request.", "", "accounts")
    if account.review_status in _DECLINED:
        advice = "AWS declined the request: answer its case in the AWS support centre, or request it again."
        return Part(State.TODO, SANDBOX, advice, "accounts")
    return Part(State.TODO, SANDBOX, "Request production access.", "accounts")


def default_sender(facts: Facts) -> Part:
    if not facts.senders:
        return Part(State.TODO, "No sender yet.", "Add one.")
    sender, identity = facts.senders[0]
    if not sender.is_default:
        return Part(State.TODO, "None is chosen.", "Make a verified sender the default.")
    if not identity.verified_for_sending:
        return Part(State.TODO, f"{sender.address}, whose domain is not verified.", "Verify its domain.")
    return Part(State.DONE, f"{sender.address}.")
