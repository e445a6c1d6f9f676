"""AWS's query protocol: form fields come in, XML goes out. SES's older API and some of MiniStack speak it."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from simulator.http import Response

_XML = {"content-type": "text/xml"}


def form(body: bytes) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}


def members(fields: dict[str, str], name: str) -> list[str]:
    """A list's items: Identities.member.1, Identities.member.2 …"""
    prefix = f"{name}.member."
    numbers = sorted(int(key.removeprefix(prefix)) for key in fields if _is_item(key, prefix))
    return [fields[f"{prefix}{number}"] for number in numbers]


def _is_item(key: str, prefix: str) -> bool:
    return key.startswith(prefix) and key.removeprefix(prefix).isdigit()


def result(action: str, values: dict[str, Any], namespace: str) -> Response:
    """Structures are dicts; a map, whose keys are data, is a list of (key, value)."""
    text = (
        f'<{action}Response xmlns="{namespace}"><{action}Result>{_elements(values)}</{action}Result>'
        f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata></{action}Response>"
    )
    return Response(200, text.encode(), _XML)


def _elements(value: Any) -> str:
    if isinstance(value, dict):
        return "".join(f"<{name}>{_elements(part)}</{name}>" for name, part in value.items())
    if isinstance(value, list):
        return "".join(
            f"<entry><key>{escape(key)}</key><value>{_elements(part)}</value></entry>" for key, part in value
        )
    return escape(str(value))


def refusal(status: int, code: str, message: str) -> Response:
    fault = "Receiver" if status >= 500 else "Sender"
    text = (
        f"<ErrorResponse><Error><Type>{fault}</Type><Code>{escape(code)}</Code>"
        f"<Message>{escape(message)}</Message></Error><RequestId>{uuid.uuid4()}</RequestId></ErrorResponse>"
    )
    return Response(status, text.encode(), _XML)
