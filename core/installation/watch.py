"""Watch: what a scheduler remembers of the installation, and compares at each look."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy.orm import Session

from core import audit
from core.access import SYSTEM
from core.app import App
from core.db.models import Installation
from core.installation import holds
from core.installation.signs import Host, Known, Moment, Sign, find_sign

logger = logging.getLogger(__name__)

FILE = "installation.json"


class Watch:
    """One scheduler's memory of the installation, from its first look to its end."""

    def __init__(self, app: App, here: Host | None = None) -> None:
        self._here = here or this_host()
        self._file = app.settings.data_dir / FILE
        self._draft = self._file.with_name(f".{FILE}.{secrets.token_hex(4)}")
        self._known: Known | None = None
        self._looked: Moment | None = None
        self._told = ""
        self._is_file_kept = True

    def look(self, app: App) -> bool:
        """Beat once and hold what must wait, in one transaction; call it before the first claim, then every
        five seconds, and at once after the database was away.

        True when this is not the database that this process has worked on: what it remembers of rows is worth
        nothing. What was not certainly committed is not remembered, so that a host never knows more than its
        database."""
        known = self._known or _read(self._file)
        with app.db.begin() as session:
            row = holds.locked(session)
            moment = Moment(app.now(), app.clock.monotonic())  # not before: the wait may be long
            is_sqlite = app.db.is_sqlite
            sign = find_sign(row, known, self._looked, moment, self._here, is_sqlite=is_sqlite)
            self._notice(session, row, sign, moment.now)
            row.beat += 1
            row.beat_at = moment.now
        self._looked = moment
        self._known = Known(row.name, row.beat, moment.now, self._here.name, self._here.machine)
        self._keep(self._known)
        return sign is not None and sign.is_copy

    def _notice(self, session: Session, row: Installation, sign: Sign | None, at: datetime) -> None:
        if sign is not None and sign.what != self._told:
            logger.warning("%s", sign.sentence)
        self._told = sign.what if sign else ""
        if sign is not None and sign.is_copy:
            _notice_copy(session, row, sign, at)
        elif sign is not None and row.held_at is None and holds.waits(session, holds.LEAVES):
            holds.hold_row(session, row, sign.sentence, at)

    def _keep(self, known: Known) -> None:
        """Whole or not at all. Without it this process still remembers, and mail still leaves."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            opened = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(opened, "wb") as draft:
                draft.write(orjson.dumps(asdict(known)))
                draft.flush()
                os.fsync(opened)  # a power cut must not leave it behind the database
            self._draft.replace(self._file)
        except OSError:
            if self._is_file_kept:
                logger.exception("cannot keep %s: a restored database may go unnoticed", self._file)
            self._is_file_kept = False
        else:
            self._is_file_kept = True


def _notice_copy(session: Session, row: Installation, sign: Sign, at: datetime) -> None:
    """Whoever lets mail go must know of it, also where it is held for another reason already."""
    if row.held_at is not None:
        if sign.what not in (row.held_reason or ""):
            holds.hold_row(session, row, f"{row.held_reason} {sign.sentence}", row.held_at)
    elif holds.waits(session, holds.GOES_ON_BY_ITSELF):
        holds.hold_row(session, row, sign.sentence, at)
    else:
        row.name = holds.succeeding(row.name)
        audit.record(session, SYSTEM, "note copied database", "installation", at=at, reason=sign.sentence)


def this_host() -> Host:
    return Host(socket.gethostname(), _machine_id())


def _machine_id() -> str:
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return ""
    try:
        found = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return "" if found == "uninitialized" else found


def _read(path: Path) -> Known | None:
    """None when there is none; also for one that nobody can read, which says nothing."""
    try:
        kept = orjson.loads(path.read_bytes())
        return Known(
            str(kept["name"]),
            int(kept["beat"]),
            datetime.fromisoformat(kept["at"]),
            str(kept["host"]),
            str(kept["machine"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError):
        logger.exception("cannot read %s: a restored database may go unnoticed", path)
        return None
