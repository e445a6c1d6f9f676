"""Tenants: customers whose mail is kept apart, here and in SES, and whether they may send.

directory.py knows who there is, plan.py what each needs in AWS and how it is looked at and made,
provisioning.py walks the plan, pausing.py stops and resumes, reputation.py follows what SES itself thinks,
limits.py and allowances.py say how much may be sent in a minute, an hour and a day.
"""

from core.tenants.allowances import allowance, allowance_today
from core.tenants.directory import get_by_slug, get_tenant, list_tenants, lock_tenant
from core.tenants.limits import (
    Usage,
    Used,
    missing_for_fallback,
    set_fallback_policy,
    set_limits,
    slot_of,
    usage,
)
from core.tenants.pausing import (
    PAUSED_BY_REPUTATION,
    PROBATION_OUTCOMES,
    Probation,
    disable,
    pause,
    probation,
    resume,
    sync_due,
)
from core.tenants.plan import (
    DONE,
    PLAN,
    Found,
    Place,
    Seen,
    Thing,
    different,
    look_at,
    missing,
    place_of,
    things_of,
)
from core.tenants.provisioning import check_new, complete, create, inspect, make, repair
from core.tenants.reputation import (
    AMAZON,
    PAUSED_BY_AWS,
    held_by_aws,
    mark_reputation_due,
    read_reputation,
    reputation_due,
    set_reputation_policy,
)
from core.tenants.resources import keep_all, list_resources, when_checked

__all__ = [
    "AMAZON",
    "DONE",
    "PAUSED_BY_AWS",
    "PAUSED_BY_REPUTATION",
    "PLAN",
    "PROBATION_OUTCOMES",
    "Found",
    "Place",
    "Probation",
    "Seen",
    "Thing",
    "Usage",
    "Used",
    "allowance",
    "allowance_today",
    "check_new",
    "complete",
    "create",
    "different",
    "disable",
    "get_by_slug",
    "get_tenant",
    "held_by_aws",
    "inspect",
    "keep_all",
    "list_resources",
    "list_tenants",
    "lock_tenant",
    "look_at",
    "make",
    "mark_reputation_due",
    "missing",
    "missing_for_fallback",
    "pause",
    "place_of",
    "probation",
    "read_reputation",
    "repair",
    "reputation_due",
    "resume",
    "set_fallback_policy",
    "set_limits",
    "set_reputation_policy",
    "slot_of",
    "sync_due",
    "things_of",
    "usage",
    "when_checked",
]
