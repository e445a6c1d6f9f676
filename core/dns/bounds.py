"""What of the answers is kept: text that can be stored and shown, and no more of it than a page needs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

from core.dns.records import Finding

MOST_STORED = 28_000  # characters of a domain's findings, as JSON
MOST_ADVICE = 1_800
MOST_OF_A_VALUE = 600  # where values must be cut


def bounded(findings: Sequence[Finding]) -> list[Finding]:
    """Small findings are kept as they are, and what they leave is shared among the others."""
    kept = [_visible(made) for made in findings]
    left = MOST_STORED
    by_size = sorted(range(len(kept)), key=lambda at: _size(kept[at].as_json()))
    for done, at in enumerate(by_size):
        share = left // (len(kept) - done)
        if _size(kept[at].as_json()) > share:
            kept[at] = _cut(kept[at], share)
        left -= _size(kept[at].as_json())
    return kept


def visible(text: str) -> str:
    """Signs that cannot be seen, and NUL, which PostgreSQL does not store, as DNS tools write them: \\000."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    return "".join(f"\\{octet:03d}" for octet in sign.encode())


def _visible(made: Finding) -> Finding:
    found, others = (tuple(visible(value) for value in values) for values in (made.found, made.others))
    better = made.better if made.better is None or made.better.isprintable() else None
    whole = made.whole and (found, others) == (made.found, made.others)
    advice = _shortened(visible(made.advice), MOST_ADVICE)
    return replace(made, found=found, others=others, better=better, whole=whole, advice=advice)


def _cut(made: Finding, share: int) -> Finding:
    better = made.better if _size(made.better) <= share // 2 else None
    bare = replace(made, found=(), others=(), better=better, whole=False)
    room = max(0, share - _size(bare.as_json()))
    expected_first = sorted(made.found, key=lambda value: value != made.record.value)
    found = _as_fit(expected_first, room if not made.others else room // 2)
    return replace(bare, found=found, others=_as_fit(made.others, room - _size(found)))


def _as_fit(values: Iterable[str], room: int) -> tuple[str, ...]:
    fitting = []
    for value in values:
        shown = _shortened(value, MOST_OF_A_VALUE)
        room -= _size(shown) + 2
        if room < 0:
            break
        fitting.append(shown)
    return tuple(fitting)


def _shortened(text: str, most: int) -> str:
    if _size(text) <= most:
        return text
    kept = text[:most]
    while _size(kept) > most - 8:
        kept = kept[: len(kept) * 4 // 5]
    return f"{kept}…"


def _size(value: object) -> int:
    return len(json.dumps(value))
