"""python -m simulator --data DIR --port N --dns-port N: the simulator as one process."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from pathlib import Path

from simulator.settings import Settings, prepare_environment

GRACE_SECONDS = 2
KEEP_ALIVE_SECONDS = 600


def read_arguments() -> Settings:
    parser = argparse.ArgumentParser(prog="python -m simulator", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="directory where everything is kept")
    parser.add_argument("--port", type=int, required=True, help="HTTP: AWS endpoints and /_sim control")
    parser.add_argument("--dns-port", type=int, required=True, help="DNS over UDP and TCP")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    given = parser.parse_args()
    return Settings(data=given.data, port=given.port, dns_port=given.dns_port, host=given.host)


def bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    """A bound socket; ends the process with a sentence when the port is taken."""
    made = socket.socket(socket.AF_INET, kind)
    if kind == socket.SOCK_STREAM:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as e:
        sys.exit(f"The simulator cannot listen on {host}:{port} ({e.strerror}). Choose another port.")
    return made


def main() -> None:
    settings = read_arguments()
    http = bound(settings.host, settings.port, socket.SOCK_STREAM)
    dns = (
        bound(settings.host, settings.dns_port, socket.SOCK_DGRAM),
        bound(settings.host, settings.dns_port, socket.SOCK_STREAM),
    )
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        sys.exit(
            f"The simulator cannot keep its data in {settings.data} ({e.strerror}). Choose another --data."
        )
    prepare_environment()
    serve(settings, http, dns)


def serve(settings: Settings, http: socket.socket, dns: tuple[socket.socket, socket.socket]) -> None:
    # MiniStack reads the environment when it is imported, so both imports wait for prepare_environment.
    import uvicorn

    from simulator.app import Simulator

    config = uvicorn.Config(
        Simulator(settings, dns),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # uvicorn shuts down and then raises the signal again; by then everything is saved.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    uvicorn.Server(config).run(sockets=[http])


if __name__ == "__main__":
    main()
