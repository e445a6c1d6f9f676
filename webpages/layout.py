"""Layout: what every page has, and how text of anybody's gets into one.

The pages work without their script and hold none in their HTML: the Content-Security-Policy allows files of
our own alone.
"""

from __future__ import annotations

import html
from pathlib import Path

ASSETS = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
FOLDER = Path(__file__).parent / "assets"
MAX_SHOWN = 600
UNREADABLE = "\N{REPLACEMENT CHARACTER}"


def page(title: str, body: str, *, root: str = "", wide: bool = False) -> str:
    """A whole page. `body` is HTML: `shown` makes it of whatever somebody else wrote. `root`: the path that
    webhooks.py is reached below, from outside."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="robots" content="noindex, nofollow"><meta name="color-scheme" content="light dark">'
        f"<title>{shown(title)}</title>"
        f'<link rel="icon" href="{root}/assets/icon.svg">'
        f'<link rel="stylesheet" href="{root}/assets/page.css">'
        f'</head><body class="{"wide" if wide else "small"}">{body}'
        f'<script src="{root}/assets/page.js" defer></script></body></html>'
    )


def message(title: str, body: str, *, root: str = "") -> str:
    """A page with one thing to say."""
    return page(title, f'<main class="card"><h1>{shown(title)}</h1>{body}</main>', root=root)


def shown(text: str, limit: int = MAX_SHOWN) -> str:
    """Text as HTML: what could act or turn the line round is made visible, what is too long is cut."""
    cut = text[:limit]
    rest = f"… ({len(text):,} characters)" if len(text) > limit else ""
    return html.escape("".join(sign if is_plain(sign) else UNREADABLE for sign in cut) + rest)


def is_plain(text: str) -> bool:
    """Printable: no controls, no signs without a width, none that reverse what follows."""
    return text.isprintable()


def asset(name: str) -> tuple[bytes, str] | None:
    """A file of ours and its media type; None for any other name."""
    if name not in ASSETS:
        return None
    return (FOLDER / name).read_bytes(), ASSETS[name]
