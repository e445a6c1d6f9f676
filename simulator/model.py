"""botocore's own model of SES v2: which request is which operation, and whether its input is well formed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session

Check = Callable[[Any, str, list[str]], None]
_NUMBERS: dict[str, Any] = {"integer": int, "long": int, "float": (int, float), "double": (int, float)}


@dataclass(frozen=True, slots=True)
class Operation:
    name: str
    method: str
    path: re.Pattern[str]
    input_shape: Any
    output_shape: Any
    check: Check

    def read(self, uri: dict[str, str], query: str, body: dict[str, Any]) -> dict[str, Any]:
        """The input's members, from path, query string and JSON body."""
        values = dict(body)
        parsed = parse_qs(query, keep_blank_values=True)
        for name, shape in (self.input_shape.members if self.input_shape else {}).items():
            location = shape.serialization.get("location")
            wire = shape.serialization.get("name", name)
            if location == "uri":
                values[name] = unquote(uri[wire])
            elif location == "querystring" and wire in parsed:
                values[name] = _from_query(shape, parsed[wire])
        return values

    def faults(self, values: dict[str, Any]) -> list[str]:
        found: list[str] = []
        self.check(values, "", found)
        return found


def _from_query(shape: Any, texts: list[str]) -> Any:
    if shape.type_name == "list":
        return texts
    if shape.type_name in ("integer", "long") and texts[0].lstrip("-").isdigit():
        return int(texts[0])
    return texts[0]


class Model:
    """Routes of all operations, and the HTTP status of every modelled error."""

    def __init__(self) -> None:
        service = botocore.session.get_session().get_service_model("sesv2")
        self.statuses: dict[str, int] = {
            shape.name: shape.metadata["error"]["httpStatusCode"]
            for shape in service.error_shapes
            if "error" in shape.metadata
        }
        checks: dict[str, Check] = {}
        self.operations = {
            name: _operation(service.operation_model(name), checks) for name in service.operation_names
        }

    def match(self, method: str, raw_path: str) -> tuple[Operation, dict[str, str]] | None:
        """Which operation a request is; path parts are still %-encoded, so that an ARN's slashes survive."""
        for operation in self.operations.values():
            if operation.method == method and (found := operation.path.fullmatch(raw_path)):
                return operation, found.groupdict()
        return None


def _operation(model: Any, checks: dict[str, Check]) -> Operation:
    uri = model.http["requestUri"].split("?")[0].rstrip("/")
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(uri))
    return Operation(
        name=model.name,
        method=model.http["method"],
        path=re.compile(pattern + "/?"),
        input_shape=model.input_shape,
        output_shape=model.output_shape,
        check=_compile(model.input_shape, checks) if model.input_shape else _anything,
    )


def _anything(value: Any, path: str, found: list[str]) -> None:
    """Shapes without rules."""


def _compile(shape: Any, checks: dict[str, Check]) -> Check:
    """A function that checks one shape; each shape is compiled once."""
    if shape.name in checks:
        return checks[shape.name]
    checks[shape.name] = lambda value, path, found: built(value, path, found)
    makers: dict[str, Callable[[Any, dict[str, Check]], Check]] = {
        "structure": _structure,
        "list": _list,
        "map": _map,
        "string": _string,
        "boolean": _boolean,
    }
    if shape.type_name in makers:
        built = makers[shape.type_name](shape, checks)
    elif shape.type_name in _NUMBERS:
        built = _number(shape)
    else:
        built = _anything
    checks[shape.name] = built
    return built


def _refused(path: str, value: Any, rule: str) -> str:
    shown = f"'{value}' " if isinstance(value, str | int | float) else ""
    return f"Value {shown}at '{path}' failed to satisfy constraint: Member must {rule}"


def _structure(shape: Any, checks: dict[str, Check]) -> Check:
    members = {name: _compile(member, checks) for name, member in shape.members.items()}
    wire = {name: name[0].lower() + name[1:] for name in members}
    required = list(shape.required_members)

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(_refused(path, None, "be a structure"))
            return
        prefix = path + "." if path else ""
        for name in required:
            if value.get(name) is None:
                found.append(_refused(prefix + wire[name], None, "not be null"))
        for name, part in value.items():
            if part is not None and name in members:
                members[name](part, prefix + wire[name], found)

    return check


def _list(shape: Any, checks: dict[str, Check]) -> Check:
    member = _compile(shape.member, checks)
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, list):
            found.append(_refused(path, None, "be a list"))
            return
        _length(value, path, found, low, high)
        for number, item in enumerate(value, 1):
            member(item, f"{path}.{number}.member", found)

    return check


def _map(shape: Any, checks: dict[str, Check]) -> Check:
    key, item = _compile(shape.key, checks), _compile(shape.value, checks)
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, dict):
            found.append(_refused(path, None, "be a map"))
            return
        _length(value, path, found, low, high)
        for name, part in value.items():
            key(name, path, found)
            item(part, f"{path}.{name}", found)

    return check


def _string(shape: Any, checks: dict[str, Check]) -> Check:
    allowed = frozenset(getattr(shape, "enum", ()) or ())
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max")
    text = shape.metadata.get("pattern")
    pattern = re.compile(text) if text else None

    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, str):
            found.append(_refused(path, value, "be a string"))
            return
        if allowed and value not in allowed:
            found.append(_refused(path, value, f"satisfy enum value set: [{', '.join(sorted(allowed))}]"))
        if low or high:
            _length(value, path, found, low, high)
        if pattern and not pattern.fullmatch(value):
            found.append(_refused(path, value, f"satisfy regular expression pattern: {text}"))

    return check


def _length(value: Any, path: str, found: list[str], low: int, high: int | None) -> None:
    if len(value) < low:
        found.append(_refused(path, None, f"have length greater than or equal to {low}"))
    if high is not None and len(value) > high:
        found.append(_refused(path, None, f"have length less than or equal to {high}"))


def _boolean(shape: Any, checks: dict[str, Check]) -> Check:
    def check(value: Any, path: str, found: list[str]) -> None:
        if not isinstance(value, bool):
            found.append(_refused(path, value, "be a boolean"))

    return check


def _number(shape: Any) -> Check:
    kinds = _NUMBERS[shape.type_name]
    low, high = shape.metadata.get("min"), shape.metadata.get("max")

    def check(value: Any, path: str, found: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            found.append(_refused(path, value, "be a number"))
            return
        if low is not None and value < low:
            found.append(_refused(path, value, f"be greater than or equal to {low}"))
        if high is not None and value > high:
            found.append(_refused(path, value, f"be less than or equal to {high}"))

    return check
