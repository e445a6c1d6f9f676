"""Foreign values: what others' JSON holds, as what it may be used for, or nothing. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def time_in(value: Any) -> datetime | None:
    """ISO 8601; UTC where no zone is named."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def text_in(value: Any) -> str | None:
    # PostgreSQL stores no NUL in a text.
    return value.replace("\0", "�") if isinstance(value, str) else None


def text_up_to(length: int, value: Any) -> str | None:
    text = text_in(value)
    return text[:length] if text else None


def dict_in(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
