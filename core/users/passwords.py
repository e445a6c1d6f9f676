"""Passwords: what is accepted, how it is hashed, and a check that costs the same for nobody as for
somebody."""

from __future__ import annotations

import secrets

import bcrypt

from core.errors import InputError

COST = 12  # about a quarter of a second per check
MIN_CHARACTERS = 12
MAX_BYTES = 72  # bcrypt ignores or refuses what is longer
_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # no 0/O, 1/l/I: it is read aloud

# A hash of random bytes nobody kept, without its cost: what an unknown username is checked against.
_NOBODY = "X1B0RGXIbH6.58cuyfxCOu32YvzD4BnR209nQbK.CWnL0uGffSAtK"


def generate() -> str:
    """Twenty characters in groups of five: about 116 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def accept(password: str, username: str) -> str:
    """The hash of a new password. Raises InputError that says what is missing, never the password."""
    if len(password) < MIN_CHARACTERS:
        raise InputError(f"A password needs {MIN_CHARACTERS} characters or more.", "password")
    if len(password.encode()) > MAX_BYTES:
        raise InputError(f"A password can have {MAX_BYTES} bytes at most; choose a shorter one.", "password")
    if password != password.strip():
        raise InputError("A password cannot begin or end with a space.", "password")
    if username in password.lower() or len(set(password)) < 5:
        raise InputError("This password is too easy to guess; choose another.", "password")
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(COST)).decode()


def matches(password: str, hashed: str | None) -> bool:
    """Takes as long when there is no hash (an unknown or disabled user) or the password is too long."""
    given = password.encode()
    checkable = hashed is not None and 0 < len(given) <= MAX_BYTES
    nobody = f"$2b${COST:02}${_NOBODY}"
    same = bcrypt.checkpw(given if checkable else b"-", (hashed if checkable and hashed else nobody).encode())
    return same and checkable
