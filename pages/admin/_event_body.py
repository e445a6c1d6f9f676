"""What came, as text: nothing in it is ever drawn as anything else."""

from __future__ import annotations

import orjson
import streamlit as st

LONGEST = 20_000


def draw_body(body: str) -> None:
    shown = _readable(body)
    st.code(shown[:LONGEST], language=None, wrap_lines=True, height=320 if len(shown) > 600 else "content")
    if len(shown) > LONGEST:
        st.caption(f"The first {LONGEST:,} of {len(shown):,} characters; the command line prints all of it.")


def _readable(body: str) -> str:
    """JSON in lines."""
    try:
        return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return body
