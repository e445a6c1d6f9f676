"""Settings of the simulator, and what MiniStack reads from the environment when it is imported."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ACCOUNT_ID = "123456789012"
DEFAULT_REGION = "ap-southeast-1"
SIGNING_HOSTED_ZONE = "dkim.amazonses.com"


@dataclass(frozen=True, slots=True)
class Settings:
    data: Path
    port: int
    dns_port: int
    host: str = "127.0.0.1"


def prepare_environment() -> None:
    """Call before MiniStack is imported. Its port is left alone: the Host header makes queue addresses."""
    os.environ.update(
        MINISTACK_ACCOUNT_ID=ACCOUNT_ID,
        MINISTACK_REGION=DEFAULT_REGION,
        LOG_LEVEL="WARNING",
        PERSIST_STATE="0",
    )
    for name in ("MINISTACK_HOST", "GATEWAY_PORT", "EDGE_PORT", "USE_SSL", "AUTH", "SERVICES"):
        os.environ.pop(name, None)
