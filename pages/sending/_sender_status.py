"""Sender status: an identity's verification as one badge, the reason when it failed, and what to do then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core.db.models import Identity
from core.db.states import FallbackPolicy, VerificationStatus
from core.dns import Finding, Kind, Mistake, Verdict
from pages._ui.format import Status, ago, escape, moment, plural
from pages.sending._readable import readable, visible

VERIFIED = Status("Verified", "green", ":material/check_circle:")
VERIFYING = Status("Verifying", "blue", ":material/sync:")
PENDING = Status("Pending", "yellow", ":material/schedule:")
FAILED = Status("Failed", "red", ":material/error:")

# VerificationInfo.ErrorType of GetEmailIdentity, as it helps somebody who manages DNS.
SES_SAYS = {
    "HOST_NOT_FOUND": "SES has not found the records in DNS yet.",
    "TYPE_NOT_FOUND": "SES has not found the records in DNS yet.",
    "INVALID_VALUE": "SES found records with other values: compare them with those to publish.",
    "SERVICE_ERROR": "SES could not ask DNS; it tries again by itself.",
    "DNS_SERVER_ERROR": "The domain's DNS servers did not answer SES; it tries again by itself.",
}
GAVE_UP = "Amazon SES looked for the DKIM records for 72 hours and gave up."
NOT_FOUND = "Amazon SES does not find its records"
WAITS = "Its campaigns wait, and go on by themselves once it is verified again."
WAITS_OR_FALLS_BACK = (
    "Until it is verified again its campaigns go through Resend where the tenant's fallback policy allows "
    "it; otherwise they wait, and go on by themselves then."
)
DKIM_SAYS = {
    "SUCCESS": "DKIM success",
    "FAILED": "DKIM failed",
    "TEMPORARY_FAILURE": "DKIM cannot be read just now",
    "NOT_STARTED": "DKIM not set up",
}


def sender_status(identity: Identity) -> Status:
    """Verifying: DNS has every record SES looks for, SES has not looked yet."""
    if identity.broken_at is not None:
        return FAILED
    if identity.verified_for_sending:
        return VERIFIED
    if identity.verification_status == VerificationStatus.FAILED:
        return FAILED
    return VERIFYING if _has_required(identity) else PENDING


def is_open(identity: Identity) -> bool:
    """Its state may still change by itself."""
    if identity.broken_at is not None or sender_status(identity) in (PENDING, VERIFYING):
        return True
    return identity.verified_for_sending and identity.dkim_status == VerificationStatus.PENDING


def is_verified(identity: Identity) -> bool:
    return sender_status(identity) is VERIFIED


def is_done(identity: Identity, findings: Sequence[Finding]) -> bool:
    """Verified, and nothing is left to be published."""
    wanted = [finding for finding in findings if finding.record.kind is not Kind.OWNERSHIP]
    return is_verified(identity) and all(finding.verdict == Verdict.FOUND for finding in wanted)


def summary(identity: Identity) -> str:
    """ "3 of 8 records found"; empty before the first check and for an e-mail address identity."""
    if identity.checked_at is None:
        return ""
    verdicts = [finding.get("verdict") for finding in identity.dns_findings]
    return f"{verdicts.count(Verdict.FOUND)} of {len(verdicts)} records found" if verdicts else ""


def last_check(identity: Identity, now: datetime) -> str:
    return f"Checked {ago(identity.checked_at, now)}" if identity.checked_at else "Not checked yet"


def trouble(identity: Identity, zone: str) -> str:
    """Why a failed or broken identity is so, in one short line; empty for any other."""
    if sender_status(identity) is not FAILED:
        return ""
    lacking = ", ".join(_lacking(identity)) or NOT_FOUND
    if identity.broken_at is None:
        return f"Given up by Amazon SES after 72 hours: {lacking}"
    return f"Broken since {moment(identity.broken_at, zone)}: {lacking}"


def explanation(identity: Identity, fallback_policy: str) -> str:
    """The same at length, with what to do then. `fallback_policy`: its tenant's."""
    why = GAVE_UP if identity.broken_at is None else identity.broken_reason or ""
    ses_says = _ses_says(identity) if identity.broken_at is None else ""
    parts = [visible(why), ses_says, mending(identity, fallback_policy)]
    return " ".join(part for part in parts if part)


def mending(identity: Identity, fallback_policy: str) -> str:
    """What to do then, or what happens by itself."""
    if identity.broken_at is not None:
        return WAITS if fallback_policy == FallbackPolicy.NONE else WAITS_OR_FALLS_BACK
    for finding in identity.dns_findings:
        if finding.get("mistake") == Mistake.NO_ZONE:
            return ""  # said above the records
        if finding.get("required") and finding.get("verdict") != Verdict.FOUND and finding.get("advice"):
            return visible(str(finding["advice"]))
    return "Press Verify now: SES begins again."


def details(identity: Identity, zone: str) -> str:
    """What SES says about the identity, in one line; without what `trouble` tells."""
    pending = "" if sender_status(identity) is FAILED else _ses_says(identity)
    parts = [_dkim_says(identity) if identity.verified_for_sending else pending]
    if looked := identity.verification_info.get("last_checked_at"):
        parts.append(f"Amazon SES last looked {moment(datetime.fromisoformat(looked), zone)}")
    if server := identity.verification_info.get("primary_name_server"):
        parts.append(f"name server {visible(server)}")
    return " · ".join(part for part in parts if part)


def draw_status(identity: Identity, now: datetime, zone: str) -> None:
    """A row's cell: badge, what is known, when it was looked at, and what is wrong."""
    draw_badge(identity)
    why = trouble(identity, zone)
    if why:
        st.markdown(f":small[{escape(why)}]")
    parts = [_dkim_says(identity), summary(identity), last_check(identity, now)]
    st.caption(escape(" · ".join(part for part in parts if part)))
    if identity.error_detail and not why:
        st.caption(escape(visible(identity.error_detail)))


def draw_badge(identity: Identity) -> None:
    shown = sender_status(identity)
    st.badge(shown.label, color=shown.color, icon=shown.icon)  # type: ignore[arg-type]


def outcome(identity: Identity) -> str:
    """What to tell somebody who pressed "Verify now"."""
    if is_verified(identity):
        return f"{readable(identity.name)} is verified: its senders can be used."
    found = summary(identity).replace("records found", "DNS records found; ")
    again = "again " if identity.broken_at is not None else ""
    return f"Checked {readable(identity.name)}: {found}SES has not verified it {again}yet."


def _dkim_says(identity: Identity) -> str:
    if not is_verified(identity) or not identity.dkim_tokens:
        return ""
    return DKIM_SAYS.get(identity.dkim_status, "DKIM pending")


def _ses_says(identity: Identity) -> str:
    said = identity.error_detail or identity.error_type or ""
    return SES_SAYS.get(said, visible(said))


def _lacking(identity: Identity) -> list[str]:
    """ "3 DKIM records missing", "1 DKIM record changed"."""
    verdicts = [each.get("verdict") for each in identity.dns_findings if each.get("required")]
    counts = ((Verdict.MISSING, "missing"), (Verdict.DIFFERENT, "changed"))
    return [
        f"{plural(verdicts.count(verdict), 'DKIM record')} {word}"
        for verdict, word in counts
        if verdict in verdicts
    ]


def _has_required(identity: Identity) -> bool:
    required = [finding for finding in identity.dns_findings if finding.get("required")]
    return bool(required) and all(finding.get("verdict") == Verdict.FOUND for finding in required)
