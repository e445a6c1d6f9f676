"""Content: a mail with merge fields, made into what SES can fill in without harm.

SES replaces `{{name}}` by a value and escapes nothing. So each field gets one name for each form its places
need, and every recipient's values travel in those forms:

    place                                    form    what the value becomes
    text part                                plain   itself
    subject                                  line    one line: line ends and control characters become a space
    text or quoted attribute in HTML         html    < > & " ' escaped
    inside an address (href, src, a link     url     percent-encoded
      in the text part)
    where an address in HTML begins          link    itself if it is http, https or mailto, else it is missing

Fields stand as `{{ first_name }}` or with a fallback of their own, `{{first_name|there}}`, which goes before
the content's. Other things in braces ({{#each}}, {{{x}}}, {{ ''.__class__ }}) stay what they are, as text:
their braces, and backslashes before them, travel as values, so that SES finds no expression in them.
"""

from __future__ import annotations

import html as markup
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from core.content.forms import Form, fill, filler, one_line
from core.content.marks import Mark, Marked, marked
from core.content.marks import field_name as field_name
from core.content.places import places_of
from core.content.plaintext import text_from_html as text_from_html
from core.errors import InputError

MAX_BYTES = 500_000  # SES's own limit for a template; a call of 1 MB must hold the values as well

_TAG = re.compile(r"\{\{([A-Za-z0-9_]+)\}\}")
_PLAIN_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_HANDLEBARS = frozenset(
    {"this", "else", "true", "false", "null", "undefined", "each", "if", "unless", "with", "lookup", "log"}
)
_LITERALS = {"{": "lit__brace", "\\": "lit__backslash"}


class MissingField(InputError):
    """A recipient has no value for these merge fields that could stand there, and there is no fallback."""

    def __init__(self, names: tuple[str, ...]) -> None:
        shown = ", ".join(f"{{{{{name}}}}}" for name in names)
        super().__init__(f"There is no usable value for {shown}; give one, or a fallback.", "fields")
        self.names = names


@dataclass(frozen=True, slots=True)
class Slot:
    """One name in the compiled content: which field it stands for, in which form."""

    name: str
    field: str
    form: Form
    fallback: str | None

    def fill(self, value: object) -> str | None:
        """The value in this form, else the fallback; None when neither can be used."""
        text = "" if value is None else str(value)
        if self.fallback is not None and not text.strip():
            return fill(self.form, self.fallback)
        if value is None:
            return None
        filled = fill(self.form, text)
        return fill(self.form, self.fallback) if filled is None and self.fallback else filled


@dataclass(frozen=True)
class CompiledContent:
    """`subject`, `html` and `text` hold nothing but text and `{{name}}`; `values` says what the names are."""

    subject: str
    html: str
    text: str
    fields: tuple[Slot, ...]
    literals: dict[str, str]

    @cached_property
    def _plan(self) -> tuple[tuple[str, str, str | None, Callable[[str], str | None], Slot], ...]:
        return tuple((slot.name, slot.field, slot.fallback, filler(slot.form), slot) for slot in self.fields)

    @property
    def field_names(self) -> frozenset[str]:
        return frozenset(slot.field for slot in self.fields)

    def values(self, address: str, fields: Mapping[str, object]) -> dict[str, str]:
        """What each name stands for, for one recipient; `fields` by field_name. An empty value is a value,
        unless there is a fallback. Raises MissingField when a field is not there or is no link where a link
        begins."""
        filled = dict(self.literals)
        missing = []
        for name, of_field, fallback, fill_in, slot in self._plan:
            given = address if of_field == "email" else fields.get(of_field)
            # What nearly every recipient has, without a detour: this runs for each of their fields.
            simple = fallback is None and isinstance(given, str)
            value = fill_in(given) if simple else slot.fill(given)  # type: ignore[arg-type]  # it is a str
            if value is None:
                missing.append(of_field)
            else:
                filled[name] = value
        if missing:
            raise MissingField(tuple(dict.fromkeys(missing)))
        return filled


def compile_content(subject: str, html: str, text: str, fallbacks: Mapping[str, str]) -> CompiledContent:
    """Raises InputError for an empty subject or body, braces left open, a field where no value can be safe
    (scripts, styles, comments, unquoted attributes), and a link that runs a script."""
    if not subject.strip():
        raise InputError("The subject is empty; write one.", "subject")
    if not html.strip() and not text.strip():
        raise InputError("There is no body; write HTML, text or both.", "html")
    if len((subject + html + text).encode(errors="replace")) > MAX_BYTES:
        raise InputError(f"The content is larger than {MAX_BYTES // 1000} kB; shorten it.", "html")
    title = marked(one_line(subject).strip(), "subject")
    page = marked(html, "html")
    places = places_of(page)
    compiler = _Compiler({field_name(name): value for name, value in fallbacks.items()})
    return CompiledContent(
        subject=compiler.assemble(title, lambda mark, before: Form.LINE),
        html=compiler.assemble(page, lambda mark, before: places[mark], unescaped=True),
        text=_compiled_text(compiler, text, page, places),
        fields=tuple(compiler.slots.values()),
        literals=compiler.literals,
    )


def render(compiled: CompiledContent, values: Mapping[str, str]) -> tuple[str, str, str]:
    """Subject, HTML and text as SES makes them; a value is never looked into again."""

    def filled(part: str) -> str:
        return _TAG.sub(lambda tag: values[tag[1]], part)

    return filled(compiled.subject), filled(compiled.html), filled(compiled.text)


@dataclass(frozen=True, slots=True)
class _Compiler:
    """Gives each field its name per form, the same in all three parts."""

    fallbacks: Mapping[str, str]
    slots: dict[tuple[str, Form, str | None], Slot] = field(default_factory=dict)
    literals: dict[str, str] = field(default_factory=dict)

    def assemble(self, source: Marked, place: Callable[[str, str], Form], *, unescaped: bool = False) -> str:
        """`place` is asked with the mark and what stands before it. `unescaped`: fallbacks written between
        the braces are HTML, whose entities are read."""
        made: list[str] = []
        before = ""
        pieces = source.pieces()
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                made.append(self._inert(piece, tag_follows=at + 1 < len(pieces)))
            else:
                mark = source.marks[piece]
                made.append(f"{{{{{self._name(mark, place(piece, before), unescaped)}}}}}")
            before = (before + piece)[-2000:]
        return "".join(made)

    def _name(self, mark: Mark, form: Form, unescaped: bool) -> str:
        fallback = mark.fallback
        if fallback is None:
            fallback = self.fallbacks.get(mark.field)
        elif unescaped:
            fallback = markup.unescape(fallback)
        key = (mark.field, form, fallback)
        if key not in self.slots:
            self.slots[key] = Slot(self._free_name(mark.field, form), *key)
        return self.slots[key].name

    def _free_name(self, field: str, form: Form) -> str:
        plain = _PLAIN_NAME.fullmatch(field) and field not in _HANDLEBARS
        base = field if plain else f"x__{field.encode().hex()}"
        name = base if form is Form.PLAIN else f"{base}__{form}"
        taken = {slot.name for slot in self.slots.values()}
        number = 2
        while name in taken:
            name = f"{base}__{form}__{number}"
            number += 1
        return name

    def _inert(self, text: str, *, tag_follows: bool) -> str:
        """The text with every brace and backslash that SES could read as part of an expression carried."""

        def carried(run: re.Match[str]) -> str:
            harmless = "{{" not in run[0] and not (tag_follows and run.end() == len(text))
            return run[0] if harmless else "".join(map(self._literal, run[0]))

        return re.sub(r"[\\{]+", carried, text)

    def _literal(self, character: str) -> str:
        name = _LITERALS[character]
        self.literals[name] = character
        return f"{{{{{name}}}}}"


def _compiled_text(compiler: _Compiler, text: str, page: Marked, places: Mapping[str, Form]) -> str:
    """The text part as it was written, or made from the page; a field inside an address belongs to it."""
    if text.strip():
        return compiler.assemble(marked(text, "text"), lambda mark, before: _place_in_text(before))
    shown = replace(page, source=text_from_html(page.source))
    return compiler.assemble(
        shown, lambda mark, before: Form.URL if places[mark] is Form.URL else Form.PLAIN, unescaped=True
    )


def _place_in_text(before: str) -> Form:
    word = re.split(r"[\s<>\"]", before)[-1]
    return Form.URL if "://" in word else Form.PLAIN
