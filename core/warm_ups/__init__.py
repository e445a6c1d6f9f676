"""Warm-ups: a tenant's way from few recipients a day to many, walked by what comes of its mail.

plan.py is the geometric plan, decisions.py what a day's outcomes lead to, walking.py starts, stops and shows,
judging.py takes the steps. What it allows today is read in every claim: core/tenants/allowances.py.
"""

from core.tenants import allowance_today
from core.warm_ups.judging import judge_due
from core.warm_ups.plan import ADVISED, Plan
from core.warm_ups.walking import PlannedDay, WarmUpView, start, stop, view

__all__ = [
    "ADVISED",
    "Plan",
    "PlannedDay",
    "WarmUpView",
    "allowance_today",
    "judge_due",
    "start",
    "stop",
    "view",
]
