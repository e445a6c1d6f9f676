"""Headers: what no provider may be given, and how addresses and tags are written. Pure."""

from __future__ import annotations

import re
from email.utils import unquote

from core.providers.base import BulkMail

_LINE_BREAK = re.compile(r"[\r\n\0]")
_NO_TAG_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")


def forbidden(mail: BulkMail) -> str:
    """Why this mail must not reach a header: a line break there would begin a header of somebody's own."""
    if _LINE_BREAK.search(mail.from_address):
        return "The sender's name or address contains a line break. Remove it from the sender."
    if _LINE_BREAK.search(mail.reply_to):
        return "The address for replies contains a line break. Remove it from the sender."
    for entry in mail.entries:
        if any(_LINE_BREAK.search(text) for header in entry.headers.items() for text in header):
            return "A header of the mail contains a line break. Remove it."
    return ""


def name_and_address(written: str) -> tuple[str, str]:
    """Of `Name <address>`, the name unquoted, or of a bare address, whose name is empty."""
    name, bracket, address = written.rpartition("<")
    name = unquote(name.strip())  # as email.utils.formataddr wrote it
    if not bracket or not name:
        return "", written.strip("<> ")
    return name, address.rstrip("> ")


def tag_value(text: str) -> str:
    """As SES and Resend take it: letters, digits, _ and -, 256 at most."""
    return _NO_TAG_CHARACTER.sub("_", text)[:256]
