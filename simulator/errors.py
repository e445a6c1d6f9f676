"""Refusals in SES's own codes. The HTTP status comes from botocore's model unless one is given here."""

from __future__ import annotations


class SesError(Exception):
    def __init__(self, code: str, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


def bad_request(message: str) -> SesError:
    return SesError("BadRequestException", message)


def not_found(message: str) -> SesError:
    return SesError("NotFoundException", message)


def already_exists(message: str) -> SesError:
    return SesError("AlreadyExistsException", message)


class ControlError(Exception):
    """A control request that cannot be used; the sentence says what to send instead."""
