"""Readable: text of strangers with nothing hidden in it, and international domains in their own letters."""

from __future__ import annotations

import re

from core.identities import names

# Printable for Python, and yet nothing is seen: fillers, blanks, variation selectors.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")


def visible(text: str) -> str:
    """Strangers write these: no sign in them may hide, turn or break what stands beside it."""
    return "".join(f"\\u{ord(sign):04x}" if _hides(sign) else sign for sign in text)


def readable(name: str) -> str:
    """A domain or an address as its owner writes it: bücher-post.de for xn--bcher-post-9db.de."""
    local, at, domain = name.rpartition("@")
    return visible(f"{local}{at}{names.readable(domain)}")


def _hides(sign: str) -> bool:
    return not sign.isprintable() or bool(_BLANK.match(sign))
