"""Templates as the simulator's SES renders them."""

from __future__ import annotations

import pytest

from simulator import content
from simulator.errors import SesError


def made(text: str, **fields: object) -> str:
    return content.render(content.parse(text), fields)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hi {{name}}!", "Hi Åse & <b>!"),
        ("{{ name }}{{name}}", "Åse & <b>Åse & <b>"),
        ("{{{name}}}", "Åse & <b>"),
        ("{{number}} {{flag}} {{nested}}", '7 true {"a": 1}'),
        ("single {braces} and }} alone", "single {braces} and }} alone"),
        (r"\{{name}}", "{{name}}"),
        ("{{value}}", "{{name}}"),
    ],
)
def test_a_replacement_tag_becomes_the_value_unescaped(text: str, shown: str) -> None:
    fields = {"name": "Åse & <b>", "number": 7, "flag": True, "nested": {"a": 1}, "value": "{{name}}"}
    assert made(text, **fields) == shown


@pytest.mark.parametrize(
    "text", ["{{#if a}}x{{/if}}", "{{a b}}", "{{", "{{name", "{{{name}}", "{{}}", "{{!x}}"]
)
def test_anything_else_in_double_braces_is_refused(text: str) -> None:
    with pytest.raises(SesError, match="Template content is invalid"):
        content.parse(text)


def test_the_missing_field_is_named() -> None:
    compiled = content.compiled("{{a}}", "<p>{{b}}</p>", "")
    assert compiled.missing({"a": 1}) == "b"
    assert compiled.missing({"a": 1, "b": ""}) is None


def test_a_template_is_half_a_megabyte_at_most() -> None:
    with pytest.raises(SesError, match="500 KB"):
        content.compiled("s", "x" * 512_001, "")
