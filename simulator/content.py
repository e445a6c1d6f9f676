"""Templates as SES renders inline ones: plain {{name}} substitution, unescaped, and nothing else."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from simulator.errors import bad_request

MAX_TEMPLATE_BYTES = 500 * 1024
_MUSTACHE = re.compile(r"(\\?)\{\{(\{?)(.*?)\}\}(\}?)", re.DOTALL)
_NAME = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*")

Part = str | tuple[str]  # literal text, or the name of a field


@dataclass(frozen=True, slots=True)
class Content:
    id: str
    subject: str
    html: str
    text: str
    template: bool
    names: frozenset[str]
    subject_parts: tuple[Part, ...]

    def missing(self, fields: Mapping[str, Any]) -> str | None:
        """The first field that the content names and `fields` lacks."""
        return min(self.names - fields.keys(), default=None)

    def subject_for(self, fields: Mapping[str, Any]) -> str:
        return render(self.subject_parts, fields)


def parse(text: str) -> tuple[Part, ...]:
    """Raises BadRequest for block helpers, partials and braces that do not close."""
    parts: list[Part] = []
    end = 0
    for match in _MUSTACHE.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        escaped, opening, inside, closing = match.groups()
        if escaped:
            parts.append(match.group()[1:])
            continue
        name = _NAME.fullmatch(inside)
        if name is None or bool(opening) != bool(closing):
            raise bad_request(
                f"Template content is invalid: {match.group()[:60]} is not a plain replacement tag."
            )
        parts.append((name.group(1),))
    rest = text[end:]
    if "{{" in rest:
        raise bad_request("Template content is invalid: a replacement tag is not closed.")
    parts.append(rest)
    return tuple(part for part in parts if part)


def render(parts: tuple[Part, ...], fields: Mapping[str, Any]) -> str:
    return "".join(part if isinstance(part, str) else _shown(fields.get(part[0], "")) for part in parts)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


@lru_cache(maxsize=256)
def compiled(subject: str, html: str, text: str) -> Content:
    if max(len(part.encode()) for part in (subject, html, text)) > MAX_TEMPLATE_BYTES:
        raise bad_request("Template content is larger than 500 KB.")
    subject_parts = parse(subject)
    parts = subject_parts + parse(html) + parse(text)
    names = frozenset(part[0] for part in parts if not isinstance(part, str))
    return Content(_digest("t", subject, html, text), subject, html, text, True, names, subject_parts)


def plain(subject: str, html: str, text: str) -> Content:
    """Content of a Simple message: braces in it mean nothing."""
    identity = _digest("s", subject, html, text)
    return Content(identity, subject, html, text, False, frozenset(), (subject,) if subject else ())


def rendered(subject: str, html: str, text: str, fields: Mapping[str, Any]) -> tuple[str, str, str]:
    """The three parts of a template as one recipient got them."""
    return (
        render(_parsed(subject), fields),
        render(_parsed(html), fields),
        render(_parsed(text), fields),
    )


_parsed = lru_cache(maxsize=64)(parse)


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
