"""Places: where in an HTML page each merge field stands, as a tokenizer reads it, and so in which form."""

from __future__ import annotations

import html as markup
import re
from html.parser import HTMLParser

from core.content.forms import Form
from core.content.marks import Marked
from core.errors import InputError

# Elements whose content is no HTML: escaping means nothing there.
_RAW = frozenset({"script", "style", "xmp", "iframe", "noembed", "noframes", "plaintext"})
# Elements whose attributes steer the page; attributes that are scripts, styles, HTML, lists of addresses.
_STEERING = frozenset({"meta", "base", "param", "animate", "animatetransform", "set"})
_REFUSED = frozenset({"style", "srcdoc", "srcset"})
_ADDRESSES = frozenset(
    {"href", "xlink:href", "src", "action", "formaction", "background", "cite", "poster", "data", "longdesc"}
    | {"ping", "manifest", "usemap", "codebase", "classid", "archive", "lowsrc", "dynsrc", "profile", "icon"}
)
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>=][^\s/>=]*)\s*(?:=\s*("[^"]*"|'[^']*'|[^\s>]*))?""")
_SCRIPT = re.compile(r"(javascript|vbscript|livescript):|data:text/html", re.IGNORECASE)


def places_of(page: Marked) -> dict[str, Form]:
    """The form of every mark. Raises InputError for a mark where no value is safe, and for a link that runs a
    script: what is not recognised as a safe place is not one."""
    reader = _PlaceReader(page)
    reader.read(page.source)
    for mark in page.marks:
        if mark not in reader.places:
            reader.refuse(mark, "where it cannot be filled in")
    return reader.places


class _PlaceReader(HTMLParser):
    def __init__(self, page: Marked) -> None:
        super().__init__(convert_charrefs=False)
        self.places: dict[str, Form] = {}
        self._page = page
        self._raw: str | None = None

    def read(self, source: str) -> None:
        self.feed(source)
        self.close()

    def refuse(self, mark: str, where: str, advice: str = "move it into the text") -> None:
        name = self._page.marks[mark].field
        raise InputError(f"{{{{{name}}}}} stands {where}; {advice}.", "html")

    def handle_data(self, data: str) -> None:
        for mark in self._page.marks_in(data):
            if self._raw:
                self.refuse(mark, f"inside <{self._raw}>, where no value is safe")
            self.places[mark] = Form.HTML

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        # The tag as it is written, not `attrs`: whether a value is quoted is seen only here.
        source = (self.get_starttag_text() or "").removesuffix(">")
        name_end = re.match(r"<[^\s/>]*", source)
        attributes = source[name_end.end() if name_end else 0 :]
        for attribute in _ATTRIBUTE.finditer(attributes):
            self._read_attribute(tag, attribute[1].lower(), attribute[2] or "")
        for mark in self._page.marks_in(source):
            if mark not in self.places:
                self.refuse(mark, "in the name of a tag or attribute")
        if tag in _RAW and self._raw is None:
            self._raw = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)  # <script/> is open to a browser

    def handle_endtag(self, tag: str) -> None:
        if tag == self._raw:
            self._raw = None
        self._refuse_all(tag, "in the name of a tag")

    def handle_comment(self, data: str) -> None:
        if not data.lstrip().lower().startswith("[if"):
            self._refuse_all(data, "inside a comment")
            return
        condition, _, shown = data.partition("]>")  # Outlook reads what is inside as HTML
        self._refuse_all(condition, "in a condition for Outlook")
        inner = _PlaceReader(self._page)
        inner.read(shown)
        self.places |= inner.places

    def handle_entityref(self, name: str) -> None:
        self.handle_data(name)

    def handle_charref(self, name: str) -> None:
        self.handle_data(name)

    def handle_decl(self, decl: str) -> None:
        self._refuse_all(decl, "inside <!…>")

    def handle_pi(self, data: str) -> None:
        self._refuse_all(data, "inside <?…>")

    def unknown_decl(self, data: str) -> None:
        self._refuse_all(data, "inside <![…]>")

    def _refuse_all(self, text: str, where: str) -> None:
        for mark in self._page.marks_in(text):
            self.refuse(mark, where)

    def _read_attribute(self, tag: str, name: str, written: str) -> None:
        if name in _ADDRESSES:
            _refuse_script(written)
        for mark in self._page.marks_in(written):
            if tag in _STEERING or name in _REFUSED or name.startswith("on"):
                self.refuse(mark, f"in <{tag} {name}=…>, where no value is safe")
            if written[0] not in "\"'":
                self.refuse(mark, f"in {name}=… without quotes", 'write the value in "quotes"')
            self.places[mark] = self._place_in_address(mark, written) if name in _ADDRESSES else Form.HTML

    def _place_in_address(self, mark: str, written: str) -> Form:
        before = _bare(written).partition(mark)[0]
        if not before:
            return Form.LINK
        if before.lower().startswith("data:"):
            self.refuse(mark, "inside a data: address", "write the address out")
        behind_a_link = any(before.startswith(other) for other in self._page.marks)
        if not behind_a_link and not re.search("[/?#:]", before):
            self.refuse(mark, "in the first word of an address", "begin the address with https://")
        return Form.URL


def _bare(written: str) -> str:
    """An address as a browser takes it: entities read, no quotes, spaces and control characters gone."""
    return re.sub(r"[\x00-\x20]+", "", markup.unescape(written.strip("\"'")))


def _refuse_script(written: str) -> None:
    if _SCRIPT.match(_bare(written)):
        raise InputError("A link runs a script; links begin with https:, http: or mailto:.", "html")
