"""Plain text: the text part of a mail that was written in HTML only."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_HIDDEN = frozenset({"script", "style", "head", "title", "template"})
_PARAGRAPHS = frozenset(
    {"p", "h1", "h2", "h3", "h4", "h5", "h6", "table", "ul", "ol", "blockquote", "pre", "hr"}
)
_LINES = frozenset({"div", "tr", "li", "section", "article", "header", "footer", "center", "dt", "dd"})
_LINE = "\v"  # a new line, unless one has just begun


def text_from_html(html: str) -> str:
    """Blocks as lines, list items with a dash, links with their address after them, pictures by name."""
    reader = _TextReader()
    reader.feed(html)
    reader.close()
    return reader.text()


class _TextReader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._hidden: str | None = None
        self._link: tuple[str, int] | None = None

    def text(self) -> str:
        text = re.sub("[ \v]*\n[ \v]*", "\n", "".join(self._parts))
        text = re.sub(" *\v[ \v]*", "\n", text)
        return re.sub("\n{3,}", "\n\n", re.sub(" {2,}", " ", text)).strip()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "body":
            self._hidden = None
        if self._hidden is not None:
            return
        if tag in _HIDDEN:
            self._hidden = tag
        given = dict(attrs)
        if tag == "a":
            self._link = (given.get("href") or "", len(self._parts))
        elif tag == "img":
            self.handle_data(f" {given.get('alt') or ''} ")
        elif tag == "li":
            self._parts.append(f"{_LINE}- ")
        elif tag in ("td", "th"):
            self._parts.append(" ")
        else:
            self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._hidden is not None:
            self._hidden = None if tag == self._hidden else self._hidden
        elif tag == "a" and self._link is not None:
            self._close_link(*self._link)
        elif tag not in ("li", "br"):
            self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden is None:
            self._parts.append(re.sub(r"\s+", " ", data))

    def _break(self, tag: str) -> None:
        if tag in _PARAGRAPHS:
            self._parts.append("\n\n")
        elif tag == "br":
            self._parts.append("\n")
        elif tag in _LINES:
            self._parts.append(_LINE)

    def _close_link(self, address: str, start: int) -> None:
        self._link = None
        shown = "".join(self._parts[start:]).strip()
        bare = address.strip().removeprefix("mailto:")
        if bare and not bare.startswith("#") and shown not in (bare, address.strip()):
            self._parts.append(f" ({bare})" if shown else bare)
