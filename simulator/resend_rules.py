"""What Resend refuses of a mail, in its own names and words (resend.com/docs, API reference, Errors)."""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Any

MAX_RECIPIENTS = 50
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@([A-Za-z0-9-]+\.)+[A-Za-z0-9-]{2,63}")
_TAG = re.compile(r"[A-Za-z0-9_-]{1,256}")


class ResendError(Exception):
    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.message = message


def invalid(message: str) -> ResendError:
    return ResendError(422, "validation_error", message)


def check(mail: Any) -> None:
    """Raises ResendError for what the API reference does not allow."""
    if not isinstance(mail, dict):
        raise invalid("An email is a JSON object.")
    for name in ("from", "to", "subject"):
        if not mail.get(name):
            raise ResendError(422, "missing_required_field", f"Missing `{name}` field.")
    if not mail.get("html") and not mail.get("text"):
        raise ResendError(422, "missing_required_field", "Missing `html` or `text` field.")
    for name in ("from", "subject", "html", "text"):
        if not isinstance(mail.get(name, ""), str):
            raise invalid(f"The `{name}` field must be a `string`.")
    if "\n" in mail["subject"]:
        raise invalid("The `\\n` is not allowed in the `subject` field.")
    if not 1 <= len(recipients(mail)) <= MAX_RECIPIENTS:
        raise invalid(f"The `to` field must have from 1 to {MAX_RECIPIENTS} addresses.")
    for name in ("from", "to", "reply_to"):
        _check_addresses(name, mail.get(name) or [])
    _check_headers(mail.get("headers") or {})
    _check_tags(mail.get("tags") or [])


def recipients(mail: dict[str, Any]) -> list[str]:
    return [mail["to"]] if isinstance(mail["to"], str) else list(mail["to"])


def sender_domain(mail: Any) -> str:
    """Empty when there is no sender that can be read."""
    written = mail.get("from") if isinstance(mail, dict) else None
    address = _bare(written) if isinstance(written, str) else ""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def _bare(written: str) -> str:
    return parseaddr(written)[1] if "<" in written else written.strip()


def _check_addresses(field: str, given: Any) -> None:
    for written in [given] if isinstance(given, str) else given:
        if not isinstance(written, str) or not _ADDRESS.fullmatch(_bare(written)) or "\n" in written:
            raise invalid(
                f"Invalid `{field}` field. The email address needs to follow the `email@example.com` or "
                "`Name <email@example.com>` format."
            )


def _check_headers(given: Any) -> None:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise invalid("The `headers` field must be an object of strings.")
    if any("\n" in part or "\r" in part for header in given.items() for part in header):
        raise invalid("The `headers` field must not contain line breaks.")


def _check_tags(given: Any) -> None:
    if not isinstance(given, list) or not all(isinstance(tag, dict) for tag in given):
        raise invalid("The `tags` field must be an array of objects.")
    for part in (str(tag.get(name, "")) for tag in given for name in ("name", "value")):
        if not _TAG.fullmatch(part):
            raise invalid(
                "Tags should only contain ASCII letters, numbers, underscores, or dashes, and be at most 256 "
                "characters."
            )
