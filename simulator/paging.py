"""NextToken and PageSize, for every List operation."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

from simulator.errors import SesError

if TYPE_CHECKING:
    from simulator.world import Call


def page(call: Call, rows: list[Any], name: str, default_size: int) -> dict[str, Any]:
    """One page of `rows` as the member `name`, with the token of the next."""
    size = call.input.get("PageSize") or default_size
    start = _start(call.input.get("NextToken"))
    answer: dict[str, Any] = {name: rows[start : start + size]}
    if start + size < len(rows):
        answer["NextToken"] = base64.b64encode(f"{start + size}".encode()).decode()
    return answer


def _start(token: str | None) -> int:
    if not token:
        return 0
    try:
        return int(base64.b64decode(token, validate=True))
    except (ValueError, binascii.Error):
        raise SesError("InvalidNextTokenException", "The specified NextToken is not valid.", 400) from None
