"""Replay one schedule and tell its story: python -m tests.faults.replay SEED [--mutant NAME]"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.simulation.play import Played, play
from tests.faults.simulation.stage import Stage, in_memory, sqlite_stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="with this bug planted")
    parser.add_argument(
        "--count", type=int, default=1, help="so many seeds from the first; tells of failures"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory, sqlite_stage(Path(directory)) as stage:
        begun = time.process_time()
        for seed in range(asked.seed, asked.seed + asked.count):
            played = replay(stage, seed, asked.mutant)
            if asked.count == 1:
                print(played.story)
            elif played.broken:
                print(f"seed {seed}: {played.broken}")
        spent = (time.process_time() - begun) / asked.count
        print(f"{spent * 1000:.0f} ms of CPU for each schedule")


def replay(stage: Stage, seed: int, mutant: str | None, *, ambush: bool = False) -> Played:
    if mutant is None:
        return play(stage, seed, ambush=ambush)
    with pytest.MonkeyPatch.context() as patch:
        MUTANTS[mutant].plant(patch)
        return play(stage, seed, ambush=MUTANTS[mutant].ambush)


if __name__ == "__main__":
    main()
