"""Tests. A run starts hundreds of processes: none compiles what another one has compiled, whatever the
environment says about keeping it."""

import os
import sys

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
