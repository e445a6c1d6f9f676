"""`postyard up, migrate, simulator, work, doctor, demo`: what runs, and whether it can."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import click

import core.demo
import core.doctor
import core.up
from core import jobs, logs
from core.access import Actor
from core.app import App, build_app
from core.cli.operation import Answer, answering, faults_as_sentences, operation, show
from core.db import migrate as migrations
from core.settings import Settings

PORT = 8501
port_option = click.IntRange(1, 65_532)
directory_option = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--data", default="var", show_default=True, type=directory_option, help="Where everything is kept."
)
@click.option(
    "--port", default=PORT, show_default=True, type=port_option, help="The console's; the next three too."
)
@click.option("--no-demo", is_flag=True, help="No demo tenants.")
@click.option("--json", "as_json", is_flag=True, help="Print where it is as JSON once it runs.")
def up(data: Path, port: int, no_demo: bool, as_json: bool) -> None:
    """Start everything on this machine; Ctrl-C ends it."""
    sys.exit(core.up.run(data, port, demo=not no_demo, as_json=as_json))


@click.command()
@answering
def migrate() -> Answer:
    """Bring the database to this version's schema; twice is the same."""
    logs.to_stderr("WARNING")
    app = build_app()
    app.db.check()
    revision = migrations.upgrade(app.db)
    return Answer({"revision": revision}, f"The database is at revision {revision}.")


@click.command()
@click.option("--data", default="var/simulator", show_default=True, type=directory_option)
@click.option(
    "--port", default=PORT + 1, show_default=True, type=port_option, help="DNS answers two ports above."
)
@click.option("--json", "as_json", is_flag=True, help="Print the variables as JSON.")
def simulator(data: Path, port: int, as_json: bool) -> None:
    """Run the SES simulator alone; prints first the variables that make boto3 and Postyard use it."""
    place = core.up.Simulator(data.absolute(), port, port + 2)
    with faults_as_sentences(as_json):
        command = place.command()
    variables = {**place.environment(), **place.resend()}
    lines = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())
    show(Answer(variables, lines), as_json=as_json)
    sys.stdout.flush()
    os.chdir(core.up.ROOT)
    os.execv(sys.executable, command)


@click.command()
@click.option("--until-idle", is_flag=True, help="End when nothing waits to be sent and no event to be read.")
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so long.")
@operation
def work(app: App, actor: Actor, until_idle: bool, seconds: float | None) -> Answer:
    """Run the scheduler's jobs in the foreground."""
    stop = threading.Event()
    jobs.stop_when_told(stop, signal.SIGTERM, signal.SIGINT)
    jobs.run_foreground(app, stop, until_idle=until_idle, seconds=seconds)
    idle = jobs.is_idle(app)
    return Answer({"idle": idle}, "Nothing is left to do." if idle else "There is more to do.")


@click.command()
@answering
def doctor() -> Answer:
    """Check settings, database, AWS, queue, DNS, scheduler and disk; exit code 1 when something fails."""
    logs.to_stderr("ERROR")
    checks = core.doctor.examine(Settings.load())
    lines = [f"{c.verdict:<5} {c.name}: {c.found}" + (f" {c.advice}" if c.advice else "") for c in checks]
    return Answer([asdict(c) for c in checks], "\n".join(lines), ok=all(c.verdict != "fail" for c in checks))


@click.command()
@click.option("--simulator", required=True, help="Its address: DNS records are published there.")
@operation
def demo(app: App, actor: Actor, simulator: str) -> Answer:
    """Add the demo tenants that are missing."""
    added = core.demo.seed(app, actor, simulator)
    return Answer({"added": added}, f"{len(added)} demo tenants added.")
