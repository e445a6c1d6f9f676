"""Many: conditions on hundreds of values, which travel as one parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, any_, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session


def is_among(session: Session, column: Any, values: Sequence[str] | Sequence[int]) -> ColumnElement[bool]:
    """`column IN (values)`: one statement for any number of them, prepared once."""
    if session.get_bind().dialect.name == "postgresql":
        array = ARRAY(column.type)
        return column == any_(cast(literal(list(values), array), array))  # type: ignore[no-any-return]
    each = func.json_each(literal(orjson.dumps(list(values)).decode())).table_valued("value", name="each")
    return column.in_(select(each.c.value))  # type: ignore[no-any-return]
