"""The table: one row per thing that was measured, with its target and whether it was met."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

HEADS = ("case", "ours", "raw ceiling", "ratio median [min..max]", "target", "")
WIDTHS = (34, 16, 16, 30, 9, 6)


@dataclass(frozen=True, slots=True)
class Row:
    """`ours` and `ceiling` are medians with their unit; `ratios`, one for each round, are what is judged."""

    case: str
    ours: str
    ceiling: str
    ratios: tuple[float, ...]
    target: float
    at_most: bool = False
    every_round: bool = False  # the worst round is judged instead of the median one
    note: str = ""

    @property
    def judged(self) -> float:
        if not self.every_round:
            return statistics.median(self.ratios)
        return max(self.ratios) if self.at_most else min(self.ratios)

    @property
    def is_met(self) -> bool:
        return self.judged <= self.target if self.at_most else self.judged >= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "case": self.case,
            "ours": self.ours,
            "ceiling": self.ceiling,
            "ratios": [round(ratio, 4) for ratio in self.ratios],
            "target": ("<= " if self.at_most else ">= ") + f"{self.target:g}",
            "met": self.is_met,
            "note": self.note,
        }

    def as_line(self) -> str:
        median, least, most = (_short(each(self.ratios)) for each in (statistics.median, min, max))
        target = ("<= " if self.at_most else ">= ") + f"{self.target:g}"
        cells = (
            self.case,
            self.ours,
            self.ceiling,
            f"{median} [{least}..{most}] n={len(self.ratios)}",
            target,
        )
        return _line((*cells, "ok" if self.is_met else "MISSED")) + (f"  {self.note}" if self.note else "")


def head() -> str:
    return _line(HEADS)


def per_second(values: list[float]) -> str:
    return f"{statistics.median(values):,.0f}/s"


def _short(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.3f}"


def _line(cells: tuple[str, ...]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()
