"""Allowances: how many recipients a warm-up lets a tenant write to on each day of its plan.

Geometric: each day allows the same multiple of the day before, from the first day's figure to the last's. Its
days are walked by outcomes, not by the calendar: core/warm_ups.py.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import WarmUp


def allowance(first_day: int, last_day: int, days: int, step: int) -> int | None:
    """Of the plan's day `step`, counted from 0; None: the plan is behind us, and there is no limit."""
    if step >= days:
        return None
    growth: float = (last_day / first_day) ** (step / (days - 1))
    return round(first_day * growth)


def allowance_today(session: Session, tenant_id: int) -> int | None:
    """None: no warm-up is under way. A step holds until its day has been judged, whatever the hour."""
    plan = session.execute(
        select(WarmUp.first_day, WarmUp.last_day, WarmUp.days, WarmUp.step).where(
            WarmUp.tenant_id == tenant_id, WarmUp.finished_at.is_(None)
        )
    ).first()
    return None if plan is None else allowance(*plan)
