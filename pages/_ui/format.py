"""Format: rates, counts, times and statuses as people read them. Pure; nothing here draws.

Text from the database goes through `escape` before it enters markdown (st.markdown, st.caption, st.error,
labels); st.text, st.code and cells of a table need nothing. Times are shown in the tenant's zone:
`moment(at, tenant.timezone)`; for charts and tables `local(at, zone)`, because a browser would draw an
aware time in its own zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime

from core.tenants.limits import zone_of

# What markdown, or Streamlit's additions to it (:red[…], :icon:, $…$), would take for a sign; and, where a
# text begins, for a list, a heading or a rule.
_SIGNS = re.compile(r"([\\`*_\[\]<>|~$]|:(?=\w))")
_BEGINNING = re.compile(r"^(\d*)([#+=.)-])")
_LINKED = re.compile(r"\S*@\S*|\S*://\S*|www\.\S+", re.IGNORECASE)
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Status:
    """How a stored status is shown: `color` is one of Streamlit's badge colours."""

    label: str
    color: str
    icon: str


_STATUSES = {
    # tenants
    "ENABLED": Status("Active", "green", ":material/check_circle:"),
    "DISABLED": Status("Sending paused", "red", ":material/pause_circle:"),
    "REINSTATED": Status("Reinstated", "orange", ":material/restart_alt:"),
    "INCOMPLETE": Status("Setup incomplete", "orange", ":material/build:"),
    # identities
    "PENDING": Status("Pending", "orange", ":material/schedule:"),
    "SUCCESS": Status("Verified", "green", ":material/check_circle:"),
    "FAILED": Status("Failed", "red", ":material/error:"),
    "TEMPORARY_FAILURE": Status("Temporary failure", "orange", ":material/warning:"),
    "NOT_STARTED": Status("Not started", "gray", ":material/radio_button_unchecked:"),
    # campaigns
    "DRAFT": Status("Draft", "gray", ":material/edit_note:"),
    "SCHEDULED": Status("Scheduled", "blue", ":material/schedule:"),
    "SENDING": Status("Sending", "blue", ":material/send:"),
    "HOLDING": Status("Holding", "orange", ":material/hourglass:"),
    "PAUSED": Status("Paused", "orange", ":material/pause_circle:"),
    "SENT": Status("Sent", "green", ":material/check_circle:"),
    "CANCELLED": Status("Cancelled", "gray", ":material/cancel:"),
    "BLOCKED": Status("Blocked", "red", ":material/block:"),
    # messages
    "pending": Status("Waiting", "gray", ":material/schedule:"),
    "sending": Status("Sending", "blue", ":material/send:"),
    "sent": Status("Accepted", "blue", ":material/outgoing_mail:"),
    "delivered": Status("Delivered", "green", ":material/check_circle:"),
    "bounced": Status("Bounced", "orange", ":material/undo:"),
    "complained": Status("Complaint", "red", ":material/report:"),
    "suppressed": Status("Suppressed", "gray", ":material/block:"),
    "failed": Status("Failed", "red", ":material/error:"),
    "unknown": Status("Unknown", "orange", ":material/help:"),
    "cancelled": Status("Cancelled", "gray", ":material/cancel:"),
    "expired": Status("Expired", "gray", ":material/timer_off:"),
    # events
    "SEND": Status("Accepted", "blue", ":material/outgoing_mail:"),
    "DELIVERY": Status("Delivery", "green", ":material/check_circle:"),
    "BOUNCE": Status("Bounce", "orange", ":material/undo:"),
    "COMPLAINT": Status("Complaint", "red", ":material/report:"),
    "REJECT": Status("Reject", "red", ":material/block:"),
    "DELIVERY_DELAY": Status("Delay", "orange", ":material/hourglass:"),
    "OPEN": Status("Open", "violet", ":material/visibility:"),
    "CLICK": Status("Click", "violet", ":material/ads_click:"),
    "RENDERING_FAILURE": Status("Rendering failure", "red", ":material/error:"),
    "SUBSCRIPTION": Status("Subscription", "gray", ":material/unsubscribe:"),
    "OTHER": Status("Other", "gray", ":material/help:"),
    # suppressions
    "UNSUBSCRIBE": Status("Unsubscribed", "gray", ":material/unsubscribe:"),
    "MANUAL": Status("Manual", "gray", ":material/person:"),
    # DNS findings
    "found": Status("Found", "green", ":material/check_circle:"),
    "missing": Status("Missing", "red", ":material/cancel:"),
    "different": Status("Different", "orange", ":material/warning:"),
    # what a tenant needs: in AWS (with missing, different, failed, unknown), and on its checklist
    "done": Status("Done", "green", ":material/check_circle:"),
    "todo": Status("To do", "orange", ":material/radio_button_unchecked:"),
    "warn": Status("Look again", "yellow", ":material/warning:"),
    "waiting": Status("Under way", "blue", ":material/hourglass_top:"),
    # AWS accounts, and findings of SES
    "HEALTHY": Status("Healthy", "green", ":material/check_circle:"),
    "PROBATION": Status("Under review", "orange", ":material/warning:"),
    "SHUTDOWN": Status("Shut down by AWS", "red", ":material/block:"),
    "LOW": Status("Low impact", "orange", ":material/info:"),
    "HIGH": Status("High impact", "red", ":material/warning:"),
    # sign-ins
    "active": Status("Active", "green", ":material/check_circle:"),
    "disabled": Status("Disabled", "gray", ":material/block:"),
    # alerts
    "open": Status("Raised", "red", ":material/notifications_active:"),
    "over": Status("Over", "green", ":material/check_circle:"),
    # schedulers and jobs
    "silent": Status("Silent", "red", ":material/bedtime:"),
    "running": Status("Running", "blue", ":material/sync:"),
    "ok": Status("OK", "green", ":material/check_circle:"),
}


_PROVIDERS = {"ses": "SES", "resend": "Resend"}


def provider(value: str | None) -> str:
    """Which way a message went; nothing for one that has not gone any."""
    return _PROVIDERS.get(value or "", value or "")


def status(value: str) -> Status:
    """One that is not in the table is shown as it is stored."""
    return _STATUSES.get(value) or Status(value, "gray", ":material/help:")


def all_statuses() -> list[Status]:
    return list(_STATUSES.values())


def escape(value: str) -> str:
    """Text of anybody's as one line of markdown that shows just it: no links, images, colours, formulas."""
    text = " ".join(value.split())
    parts: list[str] = []
    position = 0
    for match in _LINKED.finditer(text):
        parts.append(_SIGNS.sub(r"\\\1", text[position : match.start()]))
        parts.append(_as_code(match.group()))  # an address would become a mailto link, whatever is escaped
        position = match.end()
    parts.append(_SIGNS.sub(r"\\\1", text[position:]))
    return _BEGINNING.sub(r"\1\\\2", "".join(parts))


def escape_badge(value: str) -> str:
    """The same for st.badge, which escapes square brackets itself: twice escaped they would make links."""
    return escape(value).replace(r"\[", "[").replace(r"\]", "]")


def _as_code(value: str) -> str:
    tail = value[len(value.rstrip(".,;:!?")) :]
    return f"`{value[: len(value) - len(tail)].replace('`', '')}`{tail}"


def count(number: int | float) -> str:
    return f"{number:,.0f}"


def rate(value: float | None, digits: int = 2) -> str:
    """0.0184 as "1.84 %"; None (nothing to divide by) as a dash."""
    return NOTHING if value is None else f"{value * 100:.{digits}f} %"


def percent(value: float | None) -> float | None:
    """For cells of a `tables.rates` column."""
    return None if value is None else value * 100


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def local(at: datetime, zone: str) -> datetime:
    """Naive, in the zone (UTC for one that this machine does not know): what charts and tables draw as it
    is."""
    return at.astimezone(zone_of(zone)).replace(tzinfo=None)


def moment(at: datetime | None, zone: str = "UTC") -> str:
    if at is None:
        return NOTHING
    there = local(at, zone)
    return f"{there.day} {there:%b %Y, %H:%M}"


def day(value: date) -> str:
    return f"{value.day} {value:%b}"


def ago(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = (now - at.astimezone(UTC)).total_seconds()
    if seconds < 0:
        return "in " + duration(-seconds)
    return "just now" if seconds < 5 else duration(seconds) + " ago"


def duration(seconds: float) -> str:
    """In its largest whole unit: "3 min"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def words(value: str) -> str:
    """ "account_manager" as "account manager"."""
    return value.replace("_", " ")


def plural(number: int, noun: str) -> str:
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"
