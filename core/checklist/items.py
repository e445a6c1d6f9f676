"""Items: how one of the checklist reads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

OLD_AFTER = timedelta(days=2)  # everything is looked at daily


class State(StrEnum):
    DONE = "done"
    WARN = "warn"  # works, and could be better
    WAITING = "waiting"  # nobody has to do anything now
    UNKNOWN = "unknown"
    TODO = "todo"


@dataclass(frozen=True, slots=True)
class Item:
    """`found`, `advice` and `others` may repeat what DNS or SES answered: hostile text. `page`: the console's
    page, by its path, where something can be done about it. `others`: a line for each domain besides the one
    mail is sent from that needs something; the state is not theirs."""

    key: str
    title: str
    state: State
    found: str
    advice: str
    page: str
    others: tuple[str, ...] = ()


class Part(NamedTuple):
    """What one domain, or the whole tenant, amounts to for an item."""

    state: State
    found: str
    advice: str = ""
    page: str = "senders"
    others: tuple[str, ...] = ()


def aged(part: Part, age: timedelta) -> Part:
    """With the age of what was found: what was right days ago is not known to be so now."""
    part = part._replace(found=f"{part.found} (checked {ago(age)}).")
    if part.state != State.DONE or age <= OLD_AFTER:
        return part
    return part._replace(
        state=State.WARN, advice="That is old: see on the Health page whether the scheduler runs."
    )


def ago(age: timedelta) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if (number := int(age.total_seconds() // size)) >= 1:
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"
