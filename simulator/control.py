"""The control API under /_sim: what tests, demos and scripts tell the simulated world."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

import orjson

from simulator import configuration, maillog, recommendations, suppression, tenants, verification
from simulator.clock import iso_micros
from simulator.dns_faults import DnsFault
from simulator.errors import ControlError, SesError
from simulator.faults import Fault
from simulator.http import Request, Response
from simulator.scenario import FATES
from simulator.state import Account
from simulator.world import ACCOUNT_FIELDS, World

PREFIX = "/_sim/"
MAX_BODY = 32 * 1024 * 1024

Body = Any
Route = Callable[[World, Body], Awaitable[Any]]


async def health(world: World, body: Body) -> Any:
    return {"ok": True}


async def keep(world: World, body: Body) -> Any:
    await world.keep(_name(body, "name"))
    return {"ok": True}


async def reset(world: World, body: Body) -> Any:
    """{}: empty; {"to": name}: what was kept under that name."""
    if _object(body):
        world.reset_to(_name(body, "to"))
    else:
        world.reset()
    await world.store.flushed()
    return {"ok": True}


async def list_dns(world: World, body: Body) -> Any:
    return world.zone.listed()


async def put_dns(world: World, body: Body) -> Any:
    records = _records(body)
    world.zone.put(records)
    await world.store.flushed()
    return {"records": len(records)}


async def delete_dns(world: World, body: Body) -> Any:
    records = _records(body)
    world.zone.remove(records)
    await world.store.flushed()
    return {"records": len(records)}


def _records(body: Body) -> list[dict[str, Any]]:
    records = body.get("records") if isinstance(body, dict) else body
    if not isinstance(records, list):
        raise ControlError('Send a JSON list of {"type", "name", "value"}, or {"records": [...]}.')
    return records


async def show_dns_faults(world: World, body: Body) -> Any:
    return world.dns_faults.listed()


async def set_dns_faults(world: World, body: Body) -> Any:
    given = body.get("faults") if isinstance(body, dict) else body
    if not isinstance(given, list):
        raise ControlError("Send a JSON list of DNS faults; [] clears them.")
    world.dns_faults.replace([DnsFault.from_json(each) for each in given])
    return world.dns_faults.listed()


async def advance_clock(world: World, body: Body) -> Any:
    seconds = _object(body).get("advance_seconds", 0)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ControlError('Send {"advance_seconds": number}.')
    world.advance_clock(float(seconds))
    verification.check_all(world)
    await world.store.flushed()
    return {"now": iso_micros(world.clock.now())}


async def show_scenario(world: World, body: Body) -> Any:
    return {"account": asdict(world.account), **asdict(world.scenario)}


async def set_scenario(world: World, body: Body) -> Any:
    """Merges into what is set; everything is checked before anything is changed."""
    given = _object(body)
    setters: dict[str, Callable[[World, Any], Callable[[], None]]] = {
        "account": _account,
        "default": _default,
        "domains": _domains,
        "addresses": _addresses,
        "event_delay_seconds": _event_delay,
        "control_calls_per_second": _control_calls,
        "resend_calls_per_second": _resend_calls,
        "resend_domains": _resend_domains,
        "resend_webhook": _resend_webhook,
        "tenant_paused_error": _tenant_paused_error,
        "tenants": _tenants,
        "verified_addresses": _verified_addresses,
    }
    if unknown := set(given) - set(setters):
        raise ControlError(f"A scenario has no {', '.join(sorted(unknown))}; it has {', '.join(setters)}.")
    for change in [setters[name](world, value) for name, value in given.items()]:
        change()
    world.save_account()
    world.save_scenario()
    await world.store.flushed()
    return await show_scenario(world, None)


def _account(world: World, value: Any) -> Callable[[], None]:
    given = _object(value)
    if unknown := set(given) - ACCOUNT_FIELDS:
        raise ControlError(f"An account has no {', '.join(sorted(unknown))}.")
    for name in ("max_send_rate", "max_24_hour_send"):
        if not isinstance(given.get(name, 0), int | float):
            raise ControlError(f"The account's {name} is a number.")
    if given.get("enforcement_status", "HEALTHY") not in ("HEALTHY", "PROBATION", "SHUTDOWN"):
        raise ControlError("The account's enforcement_status is HEALTHY, PROBATION or SHUTDOWN.")
    changed = Account(**{**asdict(world.account), **given})
    if changed.production_access and not world.account.production_access:
        configuration.leave_sandbox(changed, given)
    elif world.account.production_access and not changed.production_access:
        configuration.enter_sandbox(changed, given)
    if "review" in given:
        if given["review"] not in configuration.REVIEWS or not changed.details:
            raise ControlError(
                f"A review is {', '.join(configuration.REVIEWS)}, of a request made through SES before."
            )
        configuration.decide_review(changed, given["review"])
    return lambda: setattr(world, "account", changed)


def _default(world: World, value: Any) -> Callable[[], None]:
    rates = world.scenario.default.changed(value, "default")
    return lambda: setattr(world.scenario, "default", rates)


def _domains(world: World, value: Any) -> Callable[[], None]:
    scenario = world.scenario
    rates = {
        name.lower(): scenario.domains.get(name.lower(), scenario.default).changed(each, name)
        for name, each in _object(value).items()
    }
    return lambda: scenario.domains.update(rates)


def _addresses(world: World, value: Any) -> Callable[[], None]:
    fates = {name.lower(): fate for name, fate in _object(value).items()}
    if wrong := [fate for fate in fates.values() if fate not in FATES]:
        raise ControlError(f"{wrong[0]!r} happens to nobody; an address has one of {', '.join(FATES)}.")
    return lambda: world.scenario.addresses.update(fates)


def _event_delay(world: World, value: Any) -> Callable[[], None]:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ControlError("event_delay_seconds is a number from 0.")
    return lambda: setattr(world.scenario, "event_delay_seconds", float(value))


def _control_calls(world: World, value: Any) -> Callable[[], None]:
    return _calls_per_second(world, "control_calls_per_second", value)


def _resend_calls(world: World, value: Any) -> Callable[[], None]:
    return _calls_per_second(world, "resend_calls_per_second", value)


def _calls_per_second(world: World, name: str, value: Any) -> Callable[[], None]:
    if isinstance(value, bool) or not isinstance(value or 0, int | float) or (value or 0) < 0:
        raise ControlError(f"{name} is a number from 0; 0: no limit.")
    return lambda: setattr(world.scenario, name, float(value or 0))


def _resend_domains(world: World, value: Any) -> Callable[[], None]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ControlError("resend_domains is a list of the domains that are verified at Resend.")
    domains = [each.lower() for each in value]
    return lambda: setattr(world.scenario, "resend_domains", domains)


def _resend_webhook(world: World, value: Any) -> Callable[[], None]:
    given = _object(value)
    secret = str(given.get("secret", ""))
    if given and (set(given) != {"url", "secret"} or not str(given["url"]).startswith(("http:", "https:"))):
        raise ControlError('resend_webhook is {"url": "http://…", "secret": "whsec_…"}, or {} for none.')
    try:
        base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError as e:
        raise ControlError("The secret of resend_webhook is whsec_ and base64.") from e
    return lambda: setattr(world.scenario, "resend_webhook", given)


def _tenant_paused_error(world: World, value: Any) -> Callable[[], None]:
    given = _object(value)
    if not isinstance(given.get("code"), str) or not isinstance(given.get("status"), int):
        raise ControlError('tenant_paused_error is {"code": "...", "status": 400}.')
    chosen = {"code": given["code"], "status": given["status"]}
    return lambda: setattr(world.scenario, "tenant_paused_error", chosen)


def _tenants(world: World, value: Any) -> Callable[[], None]:
    """What AWS decides of a tenant: {"acme": {"aws_status": "DISABLED", "cause": "…", "impact": "HIGH"}}"""
    given = _object(value)
    for name, each in given.items():
        if name not in world.tenants or not isinstance(each, dict):
            raise ControlError(f"There is no tenant {name}; create it through SES first.")

    def change() -> None:
        for name, each in given.items():
            row = tenants.get(world, name)
            if "impact" in each:
                row.impact = each["impact"]
                world.tenants.put(name, row)
            if "aws_status" in each:
                tenants.set_aws_status(world, row, each["aws_status"], str(each.get("cause", "")))

    return change


def _verified_addresses(world: World, value: Any) -> Callable[[], None]:
    """The link in SES's verification mail was clicked."""
    if not isinstance(value, list):
        raise ControlError("verified_addresses is a list of address identities.")
    rows = [world.identities.get(str(address).lower()) for address in value]
    if None in rows:
        raise ControlError("verified_addresses names an address that is no identity; create it first.")

    def change() -> None:
        for row in rows:
            if row is not None:
                row.status, row.succeeded_at = "SUCCESS", world.clock.now()
                world.identities.put(row.name, row)

    return change


async def show_faults(world: World, body: Body) -> Any:
    return [asdict(fault) for fault in world.faults.listed()]


async def set_faults(world: World, body: Body) -> Any:
    given = body.get("faults") if isinstance(body, dict) else body
    if not isinstance(given, list):
        raise ControlError("Send a JSON list of faults; [] clears them.")
    world.faults.replace([Fault.from_json(each) for each in given])
    return await show_faults(world, None)


async def set_tenant(world: World, body: Body) -> Any:
    """What AWS finds and decides of one tenant; an aws_status that is given stands in for the policy's."""
    given = _object(body)
    if unknown := set(given) - {"name", "aws_status", "cause", "findings"}:
        raise ControlError(f"A tenant has no {', '.join(sorted(unknown))} here.")
    row = world.tenants.get(str(given.get("name")))
    if row is None:
        raise ControlError(f"There is no tenant {given.get('name')}; create it through SES first.")
    status, findings = given.get("aws_status"), given.get("findings", [])
    if status not in (None, *tenants.STATUSES) or not isinstance(findings, list):
        raise ControlError(f"aws_status is one of {', '.join(tenants.STATUSES)}, findings a list.")
    for each in [recommendations.read(each) for each in findings]:
        found = recommendations.record(world, row, each)
        if found and status is None:
            recommendations.pause_by_policy(world, row, found)
    if status:
        tenants.set_aws_status(world, row, status, str(given.get("cause", "")))
    await world.store.flushed()
    return {**asdict(row), "findings": [asdict(each) for each in recommendations.of(world, row.name)]}


async def put_suppressed(world: World, body: Body) -> Any:
    """{"tenant": "acme", "entries": [{"address": "...", "reason": "BOUNCE", "at": seconds}, …]}"""
    given = _object(body)
    entries = given.get("entries")
    if not isinstance(entries, list):
        raise ControlError("entries is a list.")
    number = suppression.put_many(world, str(given.get("tenant") or ""), entries)
    await world.store.flushed()
    return {"entries": number}


async def outbox(world: World, body: Body) -> Any:
    return {"pending": world.outbox.pending(), "in_queues": len(world.outbox.fed())}


def _name(body: Body, key: str) -> str:
    name = _object(body).get(key)
    if not isinstance(name, str) or not name:
        raise ControlError(f'Send {{"{key}": "a name"}}.')
    return name


def _object(body: Body) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise ControlError("Send a JSON object.")
    return body


ROUTES: dict[tuple[str, str], Route] = {
    ("GET", "health"): health,
    ("POST", "keep"): keep,
    ("POST", "reset"): reset,
    ("GET", "dns"): list_dns,
    ("PUT", "dns"): put_dns,
    ("DELETE", "dns"): delete_dns,
    ("GET", "dns_faults"): show_dns_faults,
    ("POST", "dns_faults"): set_dns_faults,
    ("POST", "clock"): advance_clock,
    ("GET", "clock"): advance_clock,
    ("GET", "scenario"): show_scenario,
    ("POST", "scenario"): set_scenario,
    ("POST", "tenants"): set_tenant,
    ("POST", "suppressed"): put_suppressed,
    ("GET", "faults"): show_faults,
    ("POST", "faults"): set_faults,
    ("GET", "outbox"): outbox,
}


async def answer(world: World, request: Request) -> Response | maillog.Listing:
    """Every fault is a sentence in {"error": …}: 400 for what was sent, 403 for a browser, 404 for what does
    not exist."""
    if "origin" in request.headers:  # only browsers send it: some web page must not steer the simulator
        return Response.json(403, {"error": "The control API is for scripts, not for web pages."})
    name = request.path.removeprefix(PREFIX).strip("/")
    try:
        if (request.method, name) == ("GET", "messages"):
            return await maillog.listing(world, request.parameters)
        if (request.method, name) == ("GET", "calls"):
            return Response.json(200, world.calls.listed(maillog.number(request.parameters, "after")))
        route = ROUTES.get((request.method, name))
        if route is None:
            known = sorted(f"{method} {PREFIX}{path}" for method, path in ROUTES)
            return Response.json(404, {"error": f"There is no such control; there are {', '.join(known)}."})
        return Response.json(200, await route(world, _read(await request.body(MAX_BODY))))
    except (ControlError, SesError) as e:
        return Response.json(400, {"error": str(e)})


def _read(body: bytes) -> Body:
    try:
        return orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as e:
        raise ControlError(f"The body is not JSON: {e}.") from None
