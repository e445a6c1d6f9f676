"""Installation: whether this database may go on sending, or is a copy, or has been asleep.

A database restored from a backup does not know of the mail that left since, and a copy of a machine would
send what its original sends, too. So every scheduler counts one row of the database up (its beat), keeps
what it saw committed in memory and in data_dir/installation.json, and holds all sending until a person lets
it go (D9) when the row and what it knows do not agree. What is looked for, and what on purpose is not:

* The beat is lower than one this host has seen, or the row has another name: an older copy of the database,
  or another one. PostgreSQL may lose its last second when a standby takes over; up to LOST_BEATS beats are
  forgiven there while the last is fresh (LOST_WITHIN), because no backup is restored that fast. SQLite has
  no standby: nothing is forgiven, and what a power cut took from it is a reason to ask as well.
* SQLite, and the file was written on another machine (/etc/machine-id): the machine was copied, or moved;
  only a person can know that the original is off. A host's name alone says nothing: a container has a new
  one at each start. Nor does a machine-id inside a container, which belongs to an image or a run. On
  PostgreSQL schedulers come and go, with or without a file, and a copied machine that reaches the same
  database is one more of them; a copied database is known by its beat and its age.
* Nobody has beaten for OVERDUE_AFTER: scheduler off, machine asleep, or restored where no file tells. A
  process that lives through it knows that the database was away, which is no reason before AWAY_FOR.
* In one process the clock and the monotonic clock drift apart between two looks: the machine slept, or its
  clock was set. The same for two hosts whose clocks differ.

What cannot be seen: a copy that is younger than OVERDUE_AFTER and starts where neither file nor machine-id
differs. Nothing waits, nothing is held: a laptop opened in the morning simply goes on. A copy gets a new
name then, so that hosts that come back later do not take the change for another copy.
"""

from __future__ import annotations

from core.installation.holds import (
    Hold,
    InstallationState,
    Waiting,
    find_hold,
    held_reason,
    hold,
    let_go,
    state,
)
from core.installation.watch import Watch

__all__ = [
    "Hold",
    "InstallationState",
    "Waiting",
    "Watch",
    "find_hold",
    "held_reason",
    "hold",
    "let_go",
    "state",
]
