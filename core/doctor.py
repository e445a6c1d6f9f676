"""Doctor: whether an installation can work, and what to do where it cannot."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from core import dns, events
from core.app import App, AwsProviders, build_app
from core.db import migrate
from core.db.models import Account, Worker
from core.errors import ConfigurationError, ProviderError
from core.settings import Settings

BEAT_TOO_OLD = timedelta(seconds=60)
LAG_TOO_LONG_SECONDS = 300.0  # the alert comes after one minute; this is for whoever restarts things
KNOWN_NAME = "amazonaws.com"
LITTLE_DISK_BYTES = 2 * 1024**3
NO_DISK_BYTES = 200 * 1024**2


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    verdict: str  # ok, warn, fail
    found: str
    advice: str = ""


def examine(settings: Settings) -> list[Check]:
    """Every check, in the order in which one needs the other; asks the database, AWS and DNS."""
    app = build_app(settings)
    try:
        checks = [check_settings(app), check_database(app)]
        if checks[-1].verdict == "ok":
            checks += [check_queue(app), check_scheduler(app)]
        else:
            app = replace(app, providers=AwsProviders(settings))  # without a database nobody can take turns
        return [*checks, check_ses(app), check_dns(app), check_disk(app)]
    finally:
        app.db.dispose()


def check_settings(app: App) -> Check:
    if not app.settings.public_url:
        return Check(
            "settings",
            "warn",
            "POSTYARD_PUBLIC_URL is not set.",
            "Mail goes out without a one-click unsubscribe link until it names where webhooks.py is reached.",
        )
    if not app.settings.public_url.startswith("https://"):
        return Check(
            "settings",
            "warn",
            f"POSTYARD_PUBLIC_URL is {app.settings.public_url}.",
            "Mailbox providers want https for one-click unsubscribe; fine on your own machine.",
        )
    return Check("settings", "ok", "All are valid.")


def check_database(app: App) -> Check:
    kind = "SQLite" if app.db.is_sqlite else "PostgreSQL"
    try:
        app.db.check()
        migrate.check(app.db)
    except ConfigurationError as e:
        return Check("database", "fail", str(e))
    return Check("database", "ok", f"{kind}, at this version's revision.")


def check_ses(app: App) -> Check:
    region = app.settings.region
    try:
        state = app.providers.email(region).get_account()
    except ProviderError as e:
        return Check(
            "ses", "fail", str(e), "AWS's own variables name the credentials; see README, Going to real SES."
        )
    if not state.sending_enabled or state.enforcement_status == "SHUTDOWN":
        return Check(
            "ses", "fail", f"AWS has stopped this account in {region}.", "Open a case with AWS Support."
        )
    rate = f"{state.max_send_rate:g}/s, {state.max_24_hour_send:g} in 24 h"
    if not state.production_access:
        advice = "SES delivers to verified addresses only until AWS grants production access; ask for it."
        return Check("ses", "warn", f"The account is in the sandbox in {region} ({rate}).", advice)
    return Check("ses", "ok", f"Production access in {region} ({rate}).")


def check_queue(app: App) -> Check:
    with app.db.read() as session:
        queues = list(session.execute(select(Account.region, Account.queue_url)))
    urls = [(region, url) for region, url in queues if url]
    if not urls:
        return Check("queue", "warn", "There is no event queue yet.", "Creating the first tenant makes it.")
    try:
        depth = sum(app.providers.queue(region).depth(url) for region, url in urls)
    except ProviderError as e:
        return Check("queue", "fail", str(e), "Without it nobody learns of bounces; see docs/operations.md.")
    return Check("queue", "ok", f"{depth} events wait.")


def check_scheduler(app: App) -> Check:
    beat_at = last_beat(app)
    advice = "Start it: python scheduler.py"
    if beat_at is None:
        return Check("scheduler", "fail", "No scheduler has ever run on this database.", advice)
    age = app.now() - beat_at
    if age > BEAT_TOO_OLD:
        return Check("scheduler", "fail", f"Its last beat was at {beat_at:%Y-%m-%d %H:%M:%S} UTC.", advice)
    return Check("scheduler", "ok", f"Its last beat was {age.total_seconds():.0f} s ago.")


def check_dns(app: App) -> Check:
    answer = dns.Resolver(app.settings.dns_servers).lookup(KNOWN_NAME, "NS")
    if answer.error:
        return Check(
            "dns", "fail", str(answer.error), "Let this host ask DNS servers on port 53, UDP and TCP."
        )
    return Check("dns", "ok", f"Asks {app.settings.dns_servers or 'the domains own servers'}.")


def check_disk(app: App) -> Check:
    directory = app.settings.data_dir.absolute()
    while not directory.exists():
        directory = directory.parent
    free = shutil.disk_usage(directory).free
    found = f"{free / 1024**3:.1f} GiB free at {directory}."
    if free < NO_DISK_BYTES:
        return Check("disk", "fail", found, "Make room: nothing can be recorded on a full disk.")
    return Check("disk", "warn" if free < LITTLE_DISK_BYTES else "ok", found)


def last_beat(app: App) -> datetime | None:
    """When any scheduler last said that it lives."""
    with app.db.read() as session:
        beat_at: datetime | None = session.scalar(select(func.max(Worker.beat_at)))
    return beat_at


def liveness(app: App) -> dict[str, str]:
    """For /healthz, without calling AWS: each part `ok` or what is wrong with it."""
    try:
        scheduler = check_scheduler(app)
        with app.db.read() as session:
            lag = max((one.seconds or 0.0 for one in events.measured(session, app.now())), default=0.0)
    except SQLAlchemyError:
        return {"database": "does not answer", "scheduler": "unknown", "events": "unknown"}
    return {
        "database": "ok",
        "scheduler": "ok" if scheduler.verdict == "ok" else scheduler.found,
        "events": "ok" if lag <= LAG_TOO_LONG_SECONDS else f"{lag:.0f} s behind",
    }
