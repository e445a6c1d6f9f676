"""All cases on both databases: `python -m bench [--case NAME] [--database NAME] [--rounds N] [--quick]`.

Ends 1 when a target is missed. A whole run is kept in bench/results.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import endpoint, keeping, table
from bench.cases import CASES, Setting
from bench.databases import KINDS, opened
from bench.table import Row

ROUNDS, QUICK_ROUNDS = 5, 2


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that all that was started ends as well
    missed = 0
    for kind in options.database or KINDS:
        begun = time.monotonic()
        rows = _measure(kind, options)
        missed += sum(not row.is_met for row in rows)
        if options.case is None and not options.quick:
            print(f"kept in {keeping.keep(kind, rows, time.monotonic() - begun)}")
    print(f"{missed} targets missed" if missed else "every target met")
    return 1 if missed else 0


def _measure(kind: str, options: argparse.Namespace) -> list[Row]:
    rounds = options.rounds or (QUICK_ROUNDS if options.quick or options.profile else ROUNDS)
    rows = []
    print(f"\n{kind}, {rounds} rounds\n{table.head()}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="postyard-bench-") as directory,
        opened(kind, Path(directory)) as place,
        endpoint.started() as stub,
    ):
        setting = Setting(stub, place, rounds, quick=options.quick, profile=options.profile)
        for name in options.case or CASES:
            for row in CASES[name](setting):
                print(row.as_line(), flush=True)
                rows.append(row)
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", action="append", choices=list(CASES), help="only this one; may be repeated")
    parser.add_argument("--database", action="append", choices=list(KINDS), help="only this one")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, the largest campaign cut short")
    parser.add_argument("--profile", action="store_true", help="send_ceiling: print where the CPU time goes")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
