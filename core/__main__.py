"""`python -m core`: the same as `postyard`."""

from core.cli import main

main(prog_name="postyard")
