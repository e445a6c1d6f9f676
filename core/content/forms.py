"""Forms: what a value becomes in the place where it will stand."""

from __future__ import annotations

import html as markup
import re
from collections.abc import Callable
from enum import StrEnum
from urllib.parse import quote


class Form(StrEnum):
    PLAIN = "plain"
    LINE = "line"
    HTML = "html"
    URL = "url"
    LINK = "link"


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINK = re.compile(r"(https?://|mailto:)[^\s/?#]", re.IGNORECASE)
_SPECIAL_IN_HTML = re.compile("[&<>\"']")
_SPECIAL_IN_URL = re.compile("[^A-Za-z0-9_.~-]")  # RFC 3986, unreserved characters
_LINK_SAFE = ":/?#[]@!$&()*+,;=%~-._"


def filler(form: Form) -> Callable[[str], str | None]:
    """What makes a value of this form."""
    return _FILLERS[form]


def fill(form: Form, value: str) -> str | None:
    """The value in this form; None when it cannot stand there at all."""
    return _FILLERS[form](value)


def one_line(value: str) -> str:
    return value if value.isprintable() else _UNPRINTABLE.sub(" ", value)


def _as_html(value: str) -> str:
    # Most values have nothing to escape; looking first is five times as fast, for every recipient.
    return markup.escape(value, quote=True) if _SPECIAL_IN_HTML.search(value) else value


def _as_url(value: str) -> str:
    return quote(value, safe="", errors="replace") if _SPECIAL_IN_URL.search(value) else value


def _as_link(value: str) -> str | None:
    value = value.strip()
    if not _LINK.match(value):
        return None
    return markup.escape(quote(value, safe=_LINK_SAFE, errors="replace"), quote=True)


_FILLERS: dict[Form, Callable[[str], str | None]] = {
    Form.PLAIN: str,
    Form.LINE: one_line,
    Form.HTML: _as_html,
    Form.URL: _as_url,
    Form.LINK: _as_link,
}
