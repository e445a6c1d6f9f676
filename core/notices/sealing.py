"""Sealing: secrets kept in the database that are worth nothing without the installation's key. Pure.

Each is sealed for one place: copied into another row it cannot be opened.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def seal(secret: bytes, place: str, text: str) -> str:
    return _fernet(secret, place).encrypt(text.encode()).decode("ascii")


def unseal(secret: bytes, place: str, sealed: str) -> str | None:
    """None when it was sealed with another key, for another place, or was altered."""
    try:
        return _fernet(secret, place).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def digest(secret: bytes, text: str) -> str:
    """The same text gives the same digest; without the key nobody can try texts."""
    return hmac.new(_key(secret, "digest"), text.encode(), hashlib.sha256).hexdigest()


def _fernet(secret: bytes, place: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(_key(secret, f"seal {place}")))


def _key(secret: bytes, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"postyard alerts {purpose}".encode()).derive(secret)
