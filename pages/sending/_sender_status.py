"""Sender status: an identity's verification as one badge and one line that says what is going on."""

from __future__ import annotations

from datetime import datetime

import streamlit as st

from core.db.models import Identity
from core.db.states import VerificationStatus
from pages._ui.format import Status, ago, escape

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


def sender_status(identity: Identity) -> Status:
    """Verifying: DNS has every record SES looks for, SES has not looked yet."""
    if identity.verified_for_sending:
        return VERIFIED
    if identity.verification_status == VerificationStatus.FAILED:
        return FAILED
    return VERIFYING if identity.dkim_tokens and _dkim_found(identity) else PENDING


def _dkim_found(identity: Identity) -> bool:
    found = [
        finding.get("verdict") == "found"
        for name, finding in identity.dns_findings.items()
        if name.split(".")[0] in identity.dkim_tokens
    ]
    return len(found) == len(identity.dkim_tokens) and all(found)


def is_open(identity: Identity) -> bool:
    """Its state may still change by itself."""
    return sender_status(identity) in (PENDING, VERIFYING)


def draw_status(identity: Identity, now: datetime) -> None:
    shown = sender_status(identity)
    st.badge(shown.label, color=shown.color, icon=shown.icon)
    if not identity.verified_for_sending and (detail := identity.error_detail or identity.error_type):
        st.caption(escape(SES_SAYS.get(detail, detail)))
    st.caption(f"Checked {ago(identity.checked_at, now)}" if identity.checked_at else "Not checked yet")


def outcome(identity: Identity) -> str:
    """What to tell somebody who pressed "Verify now"."""
    if identity.verified_for_sending:
        return f"{identity.name} is verified: its senders can be used."
    verdicts = [finding.get("verdict") for finding in identity.dns_findings.values()]
    if not verdicts:
        return f"Checked {identity.name}: SES has not verified it yet."
    return (
        f"Checked {identity.name}: {verdicts.count('found')} of {len(verdicts)} DNS records found; "
        "SES has not verified it yet."
    )
