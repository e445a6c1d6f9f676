"""Preview: a mail as its recipient will see it, in a frame where nothing of it can run or call out."""

from __future__ import annotations

import html as markup

import streamlit as st

# st.iframe lets scripts run with the console's own origin: the mail goes into a second frame, whose empty
# sandbox and policy allow neither scripts nor forms nor anything from the network (no tracking pixels).
POLICY = (
    "<meta http-equiv='Content-Security-Policy' "
    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
)
PAPER = "<style>body{background:#fff;color:#1a2330;font-family:sans-serif;margin:12px}</style>"
FRAME = (
    '<iframe sandbox="" title="Preview of the mail" '
    'style="width:100%;height:{height}px;border:0;background:#fff" srcdoc="{source}"></iframe>'
)


def sandboxed(html: str, height: int) -> str:
    """The mail's HTML as an inert frame."""
    return FRAME.format(height=height, source=markup.escape(POLICY + PAPER + html, quote=True))


def draw_mail(from_line: str, to: str, subject: str, html: str, text: str, *, height: int = 420) -> None:
    with st.container(border=True, gap="xsmall"):
        st.text(f"From: {from_line}")
        st.text(f"To: {to}")
        st.text(f"Subject: {subject}")
        as_html, as_text = st.tabs(["HTML", "Text"])
        with as_html:
            st.iframe(sandboxed(html, height - 20), height=height)
            st.caption("Scripts and remote images are switched off in this preview.")
        as_text.code(text, language=None, wrap_lines=True, height=height)
