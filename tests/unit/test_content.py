"""Content: what SES fills in is what was meant, and no value can be more than a value."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.content import CompiledContent, MissingField, compile_content, field_name, render, text_from_html
from core.errors import InputError

NAMES = {"first_name": "Zoë <b>", "company": 'K & "Söhne"', "link": "https://acme-mail.io/a?b=1&c=d"}


def filled(subject: str = "s", html: str = "", text: str = "", **fields: str) -> tuple[str, str, str]:
    compiled = compile_content(subject, html, text, {})
    return render(compiled, compiled.values("zoe@example.com", NAMES | fields))


def naive_ses(part: str, values: dict[str, str]) -> str:
    """Plain substitution, as Amazon SES documents it for inline templates."""
    return re.sub(r"\{\{\s*([^{}\s]+)\s*\}\}", lambda tag: values[tag[1]], part)


def html(body: str, **fields: str) -> str:
    return filled(html=body, **fields)[1]


def refusal(body: str) -> str:
    with pytest.raises(InputError) as caught:
        compile_content("s", body, "", {})
    return str(caught.value)


def test_a_name_is_plain_in_subject_and_text_and_escaped_in_html() -> None:
    subject, page, text = filled("Hi {{first_name}}", "<p>{{ first_name }}</p>", "Hi {{First Name}}")
    assert subject == "Hi Zoë <b>"
    assert page == "<p>Zoë &lt;b&gt;</p>"
    assert text == "Hi Zoë <b>"


def test_the_address_is_always_a_field() -> None:
    assert filled("{{email}}", "", "{{email}}")[2] == "zoe@example.com"


def test_a_value_in_an_attribute_stays_in_it() -> None:
    assert html('<img alt="{{company}}">') == '<img alt="K &amp; &quot;Söhne&quot;">'
    assert html("<img alt='{{x}}'>", x="' onerror='alert(1)") == "<img alt='&#x27; onerror=&#x27;alert(1)'>"


def test_a_value_inside_an_address_is_percent_encoded() -> None:
    page = '<a href="https://acme-mail.io/?n={{first_name}}&amp;c={{company}}">'
    assert html(page) == (
        '<a href="https://acme-mail.io/?n=Zo%C3%AB%20%3Cb%3E&amp;c=K%20%26%20%22S%C3%B6hne%22">'
    )


def test_a_value_that_begins_an_address_must_be_a_link() -> None:
    assert html('<a href=" {{link}}">') == '<a href=" https://acme-mail.io/a?b=1&amp;c=d">'
    assert (
        html("<a href='{{link}}#x'>", link="mailto:o'neil@example.com")
        == "<a href='mailto:o%27neil@example.com#x'>"
    )
    assert html('<a href="{{link}}?n={{first_name}}">').endswith('c=d?n=Zo%C3%AB%20%3Cb%3E">')


@pytest.mark.parametrize("value", [
    "javascript:alert(1)", " JavaScript:alert(1)", "java\nscript:alert(1)", "data:text/html,x", "vbscript:x",
    "//evil.example", "/path", "www.example.com", "https://", "http:javascript:x", "", "\x01javascript:x",
])  # fmt: skip
def test_what_is_no_link_is_missing_where_a_link_begins(value: str) -> None:
    compiled = compile_content("s", '<a href="{{link}}">x</a>', "", {})
    with pytest.raises(MissingField):
        compiled.values("a@example.com", {"link": value})
    with_fallback = compile_content("s", '<a href="{{link}}">x</a>', "t", {"link": "https://acme-mail.io"})
    assert (
        'href="https://acme-mail.io"'
        in render(with_fallback, with_fallback.values("a@example.com", {"link": value}))[1]
    )


@pytest.mark.parametrize(("body", "said"), [
    ("<script>{{a}}</script>", "inside <script>"),
    ("<script/>{{a}}", "inside <script>"),
    ("<style>p{color:{{a}}}</style>", "inside <style>"),
    ("<xmp>{{a}}</xmp>", "inside <xmp>"),
    ("<!-- {{a}} -->", "inside a comment"),
    ("<!--[if {{a}}]>x<![endif]-->", "condition"),
    ("<!--[if mso]><style>{{a}}</style><![endif]-->", "inside <style>"),
    ("<!doctype {{a}}>", "inside <!"),
    ("<?php {{a}} ?>", "inside <?"),
    ("<![CDATA[{{a}}]]>", "inside <!["),
    ("<a href={{a}}>", "without quotes"),
    ('<a x="a=" title={{a}}>', "without quotes"),
    ('<a {{a}}="x">', "in the name of a tag or attribute"),
    ("<p {{a}}>", "in the name of a tag or attribute"),
    ("<{{a}}>", "in the name of a tag or attribute"),
    ("</{{a}}>", "in the name of a tag"),
    ('<p onclick="x({{a}})">', "no value is safe"),
    ('<p style="color:{{a}}">', "no value is safe"),
    ('<img srcset="{{a}} 2x">', "no value is safe"),
    ('<iframe srcdoc="{{a}}">', "no value is safe"),
    ('<meta http-equiv="refresh" content="0;url={{a}}">', "no value is safe"),
    ('<base href="{{a}}">', "no value is safe"),
    ('<a href="java{{a}}:alert(1)">', "begin the address with https://"),
    ('<a href="x{{a}}">', "begin the address with https://"),
    ('<a href="data:text/plain,{{a}}">', "data: address"),
    ('<a href="javascript:x({{a}})">', "runs a script"),
    ('<a href="&#106;ava\tscript:alert(1)">', "runs a script"),
    ("Hi {{a", "left open"),
    ("Hi {{a}} and {{#if b and {{c}}", "left open"),
])  # fmt: skip
def test_a_field_where_no_value_can_be_safe_is_refused_with_what_to_do(body: str, said: str) -> None:
    assert said in refusal(body)


@pytest.mark.parametrize("body", [
    "{{ ''.__class__.__mro__ }}", "{{#each x}}y{{/each}}", "{{{x}}}", "{{{{raw}}}}", "${7*7}", "{{7*7}}",
    "<%= %>", "{% for i in range(10**9) %}", "{{> partial}}", "{{! note }}", "{{a.b}}", "{{@root}}",
    "\\{{x.y}}", "{{__}}", "a } b }} c { d", "\\", "{", "[[x]]", "@media x{a{b:c}}",
])  # fmt: skip
def test_anything_else_in_braces_stays_text_and_ses_finds_no_expression_in_it(body: str) -> None:
    compiled = compile_content(f"s {body}", f"<p>{body}</p>", body, {})
    values = compiled.values("a@example.com", {})
    assert render(compiled, values) == (f"s {body}", f"<p>{body}</p>", body)
    for part in (compiled.subject, compiled.html, compiled.text):
        assert set(re.findall(r"\{\{.*?\}\}", part)) <= {f"{{{{{name}}}}}" for name in values}
        assert not re.search(r"[\\{]\{\{", part)


def test_braces_and_backslashes_beside_a_field_are_text() -> None:
    assert filled(text="\\{{first_name}} \\\\{{first_name}}\\ {{first_name}}} { {{first_name}}")[2] == (
        "\\Zoë <b> \\\\Zoë <b>\\ Zoë <b>} { Zoë <b>"
    )
    assert html("<p>&#123;{{first_name}}</p>") == "<p>&#123;Zoë &lt;b&gt;</p>"
    assert filled(html="<p>&#123;{{first_name}} &#123;&#123;x}}</p>")[2] == "{Zoë <b> {{x}}"


def test_a_value_is_never_looked_into_again() -> None:
    subject, page, text = filled("{{a}}", "<p>{{a}}</p>", "{{a}}", a="{{first_name}}{{lit__brace}}")
    assert subject == text == "{{first_name}}{{lit__brace}}"
    assert page == "<p>{{first_name}}{{lit__brace}}</p>"


def test_line_ends_in_a_value_cannot_make_a_header() -> None:
    subject, _, text = filled("Hi {{a}}!", "", "Hi {{a}}", a="x\r\nBcc: v@example.com\u2028y\x00")
    assert subject == "Hi x Bcc: v@example.com y !"
    assert text == "Hi x\r\nBcc: v@example.com\u2028y\x00"
    assert compile_content("Hi\r\nBcc: x", "", "t", {}).subject == "Hi Bcc: x"


def test_a_missing_value_is_named_and_an_empty_one_is_a_value() -> None:
    compiled = compile_content("{{a}}", "<p>{{b}}{{a}}</p>", "", {})
    with pytest.raises(MissingField, match=r"\{\{a\}\}, \{\{b\}\}") as caught:
        compiled.values("a@example.com", {"a": None})
    assert caught.value.names == ("a", "b")
    assert compiled.field_names == {"a", "b"}
    assert render(compiled, compiled.values("a@example.com", {"a": "", "b": "x"}))[1] == "<p>x</p>"


@pytest.mark.parametrize("fields", [{}, {"first_name": ""}, {"first_name": " "}, {"first_name": None}])
def test_a_fallback_stands_in_for_what_is_missing_or_empty(fields: dict[str, str | None]) -> None:
    compiled = compile_content(
        "{{first_name}}", "<p>{{first_name|K&amp;B}}</p>", "", {"First name": "friend"}
    )
    subject, page, text = render(compiled, compiled.values("a@example.com", fields))
    assert (subject, page, text) == ("friend", "<p>K&amp;B</p>", "K&B")


def test_a_fallback_may_be_nothing() -> None:
    compiled = compile_content("Hi {{a|}}{{b}}", "", "t", {"b": ""})
    assert render(compiled, compiled.values("a@example.com", {}))[0] == "Hi "


@pytest.mark.parametrize("column", ["größe", "имя", "this", "if", "each", "2nd_name", "lookup", "名"])
def test_names_that_ses_could_take_for_something_else_are_renamed(column: str) -> None:
    compiled = compile_content("s", f"<p>{{{{{column}}}}}</p>", "", {})
    values = compiled.values("a@example.com", {column: "x"})
    assert render(compiled, values)[1] == "<p>x</p>"
    assert all(re.fullmatch(r"x__[0-9a-f]+(__\w+)?", name) for name in values)


def test_outlooks_conditional_html_may_have_fields() -> None:
    page = '<!--[if mso]><v:rect href="{{link}}">{{first_name}}</v:rect><![endif]-->'
    assert html(page) == (
        '<!--[if mso]><v:rect href="https://acme-mail.io/a?b=1&amp;c=d">Zoë &lt;b&gt;</v:rect><![endif]-->'
    )


def test_a_field_inside_an_address_in_the_text_part_is_encoded() -> None:
    assert filled(text="https://acme-mail.io/?n={{first_name}}&c={{company}} {{first_name}}")[2] == (
        "https://acme-mail.io/?n=Zo%C3%AB%20%3Cb%3E&c=K%20%26%20%22S%C3%B6hne%22 Zoë <b>"
    )


@pytest.mark.parametrize(
    ("subject", "page", "text", "said"),
    [
        (" ", "<p>x</p>", "", "subject is empty"),
        ("s", " ", "\n", "no body"),
        ("s", "x" * 500_001, "", "larger than 500 kB"),
        ("Hi {{a", "x", "", "left open"),
        ("s", "", "Hi {{a", "left open"),
    ],
)
def test_what_cannot_be_sent_is_refused(subject: str, page: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        compile_content(subject, page, text, {})


def test_the_text_part_is_made_from_the_html_when_there_is_none() -> None:
    page = """<html><head><title>No</title><style>p{}</style></head><body><h1>Hi {{first_name}}</h1>
    <p>One &amp;   two<br>three</p><ul><li>a</li><li>b</li></ul><a href="https://acme-mail.io/{{company}}">Go</a>
    <a href="https://x.example">https://x.example</a><img alt="Logo" src="https://x.example/l.png">
    <table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table><script>no()</script></body></html>"""
    assert filled(html=page)[2] == (
        "Hi Zoë <b>\n\nOne & two\nthree\n\n- a\n- b\n\n"
        "Go (https://acme-mail.io/K%20%26%20%22S%C3%B6hne%22) https://x.example Logo\n\n1 2\n3"
    )


def test_unfinished_html_still_gives_text() -> None:
    assert text_from_html("<div><p>a <b>b</div><li>c") == "a b\n- c"
    assert text_from_html("") == ""


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("E-Mail ", "e_mail"),
        ("First  Name", "first_name"),
        ("__x__y", "x_y"),
        ("Größe (cm)", "größe_cm"),
        ("!", ""),
    ],
)
def test_columns_become_names_of_fields(column: str, name: str) -> None:
    assert field_name(column) == name


PAGE = compile_content(
    "Hi {{a}} {{b|x}} {{7*7}}",
    '<p title="{{a}}">{{a}} {{b}} \\{{a}} {{{c}}}</p><a href="https://acme-mail.io/{{a}}?{{b}}">{{a}}</a>'
    "<img src=\"{{link}}\" alt='{{b}}'>",
    "{{a}} https://acme-mail.io/{{b}} {{#if}} \\{{b}}",
    {"link": "https://acme-mail.io/x.png"},
)
HOSTILE = st.one_of(
    st.text(max_size=20),
    st.sampled_from([
        "<script>alert(1)</script>", '" onmouseover="x', "' onerror='x", "{{a}}", "{{lit__brace}}", "}}",
        "{{", "\\", "\r\nBcc: v@example.com", "\u202eabc", "javascript:x", "https://x.example/\"><script>",
        "&lt;", "--><b>", "\x00",
    ]),
)  # fmt: skip


class Shape(HTMLParser):
    """Tags with the names of their attributes, and addresses: what a reader's program makes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.addresses: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]


@pytest.mark.slow
@given(HOSTILE, HOSTILE, HOSTILE)
def test_what_ses_makes_is_what_we_show_and_hostile_values_are_inert(a: str, b: str, link: str) -> None:
    values = PAGE.values("v@example.com", {"a": a, "b": b, "link": link})
    shown = render(PAGE, values)
    assert shown == tuple(naive_ses(part, values) for part in (PAGE.subject, PAGE.html, PAGE.text))
    subject, page, text = shown
    shape = Shape(page)
    assert shape.tags == [("p", ("title",)), ("a", ("href",)), ("img", ("src", "alt"))]
    assert all(address.lower().startswith(("https:", "http:", "mailto:")) for address in shape.addresses)
    assert unquote(shape.addresses[0], errors="replace") == f"https://acme-mail.io/{a}?{b}"
    assert not re.search("[\r\n\x00]", subject)
    assert text.startswith(a)
    assert text.endswith("{{#if}} \\" + b)


SOURCE = st.lists(
    st.sampled_from(
        ["{{a}}", "{{ b }}", "{{a|x}}", "{", "}", "{{", "}}", "\\", "a", " ", "|", "<p>", "#", "&#123;"]
    )
).map("".join)


@given(SOURCE, SOURCE)
def test_any_mixture_of_braces_is_filled_in_by_ses_as_by_us_or_refused(page: str, text: str) -> None:
    try:
        compiled: CompiledContent = compile_content("s", page, text, {})
    except InputError:
        return
    values = compiled.values("v@example.com", {"a": "{{b}}", "b": "\\"})
    assert render(compiled, values) == tuple(
        naive_ses(part, values) for part in (compiled.subject, compiled.html, compiled.text)
    )
    for part in (compiled.html, compiled.text):
        assert not re.search(r"[\\{]\{\{", part)
        assert all(re.fullmatch(r"\w+", inside) for inside in re.findall(r"\{\{(.*?)\}\}", part, re.DOTALL))
        assert part.count("{{") == len(re.findall(r"\{\{\w+\}\}", part))
