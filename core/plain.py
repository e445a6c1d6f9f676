"""Plain: text that somebody else wrote (DNS, SES, whoever typed it) made safe to store and to show.

PostgreSQL keeps no NUL; a terminal acts on escape sequences; and what turns a line round hides what it says.
"""

from __future__ import annotations

import re

# C0, DEL, C1, line and paragraph separators, what sets a direction (Unicode's Bidi_Control), lone surrogates.
_SIGNS = r"\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
CONTROL = re.compile(rf"[\x00-\x1f{_SIGNS}]")
_ADDRESS = re.compile(r"([^\s\"'<>(),;:@\\])[^\s\"'<>(),;:@\\]*@")
_CONTROL_BUT_LAYOUT = re.compile(rf"[\x00-\x08\x0b-\x0c\x0e-\x1f{_SIGNS}]|\r(?!\n)")


def visible(text: str) -> str:
    """One line: every control as Python writes it, \\x1b."""
    return CONTROL.sub(_written, text)


def visible_lines(text: str) -> str:
    """The same for text of many lines, which keeps its line ends and tabs."""
    return _CONTROL_BUT_LAYOUT.sub(_written, text)


def mask_addresses(text: str) -> str:
    """For a role that may not see them: the first letter and the domain of each e-mail address stay."""
    return _ADDRESS.sub(r"\1***@", text)


def _written(sign: re.Match[str]) -> str:
    return ascii(sign[0])[1:-1]
