"""Marks: merge fields taken out of a source and stood in for by words that no HTML reader can trip over."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from core.errors import InputError

_FIELD = re.compile(r"(?<!\{)\{\{\s*(\w[\w \-]*?)\s*(?:\|([^{}|]*))?\}\}")
_OPEN = re.compile(r"\{\{+((?:(?!\{\{|\}\}).)*)(\}\})?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Mark:
    field: str
    fallback: str | None  # the field's own, written after |


@dataclass(frozen=True, slots=True)
class Marked:
    """`source` with a unique word of lower-case letters and digits where each merge field stood."""

    source: str
    prefix: str
    marks: dict[str, Mark]

    def pieces(self) -> list[str]:
        """Text, mark, text, … text."""
        return re.split(f"({self.prefix}[0-9]+q)", self.source)

    def marks_in(self, text: str) -> list[str]:
        return re.findall(f"{self.prefix}[0-9]+q", text)


def field_name(column: str) -> str:
    """How a column's header, or a name between braces, is written as a merge field: `E-Mail ` is `e_mail`."""
    return re.sub(r"[\W_]+", "_", unicodedata.normalize("NFKC", column).lower()).strip("_")


def marked(source: str, part: str) -> Marked:
    """Take the merge fields out. Raises InputError when {{ is left open; `part` is the form's field."""
    prefix = "mergefield"
    while prefix in source.lower():
        prefix += "x"
    marks: dict[str, Mark] = {}

    def stand_in(found: re.Match[str]) -> str:
        name = field_name(found[1])
        if not name:
            return found[0]
        mark = f"{prefix}{len(marks)}q"
        marks[mark] = Mark(name, None if found[2] is None else found[2].strip())
        return mark

    marked_source = _FIELD.sub(stand_in, source)
    for braces in _OPEN.finditer(marked_source):
        if not braces[2]:
            start = " ".join(braces[1][:30].split())
            raise InputError(f"Braces are left open: close ‘{{{{{start}’ with }}}}.", part)
    return Marked(marked_source, prefix, marks)
