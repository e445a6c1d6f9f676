"""Use cases: all of them, each as a call by somebody about a tenant's rows, with the action it asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

from core import (
    accounts,
    alerts,
    audit,
    campaigns,
    checklist,
    drift,
    events,
    identities,
    installation,
    notices,
    onboarding,
    reputation,
    senders,
    suppressions,
    templates,
    tenants,
    unknown,
    users,
    warm_ups,
)
from core.access import Action, Actor, Role
from core.app import App
from core.events import dead_letters, heartbeat, parked
from core.reports import (
    by_campaign,
    by_domain,
    by_provider,
    dry_run,
    find_messages,
    health,
    overview,
    pauses,
    rates,
    recent_events,
)
from core.reputation import Levels
from core.sending import send

MISSING = 999_999
DAYS = {"since": date(2026, 1, 1), "until": date(2026, 1, 31)}
MAIL = {"subject": "Hi", "html": "<p>Hi</p>"}
CHANNEL: dict[str, Any] = {"kind": notices.ChannelKind.EMAIL, "target": "nobody"}
CSV = b"email\nann@example.com\n"
SEES_ALL = frozenset({Role.ADMIN, Role.OPERATOR})


@dataclass(frozen=True)
class Ids:
    """What belongs to one tenant; of a missing one everything is MISSING."""

    tenant: int = MISSING
    slug: str = "missing"
    sender: int = MISSING
    identity: int = MISSING
    campaign: int = MISSING
    template: int = MISSING
    link: int = MISSING
    channel: int = MISSING
    address: str = "missing@example.com"


@dataclass(frozen=True)
class World:
    app: App
    acme: Ids
    globex: Ids


# Called with (app, actor, tenant_id, ids of rows). Chosen so that somebody who may, changes nothing.
Call = Callable[[App, Actor, int, Ids], object]
OF_TENANT: dict[str, tuple[Action, Call]] = {
    "audit.list_entries": (Action.SEE_AUDIT, lambda a, p, t, i: audit.list_entries(a, p, tenant_id=t)),
    "campaigns.creating.create": (Action.DRAFT_CAMPAIGN, lambda a, p, t, i: campaigns.create(
        a, p, t, name="x", sender_id=i.sender, **MAIL, csv=CSV)),
    "campaigns.creating.check": (Action.DRAFT_CAMPAIGN,
        lambda a, p, t, i: campaigns.check(a, p, t, **MAIL, csv=CSV)),
    "campaigns.moves.start": (Action.RUN_CAMPAIGN, lambda a, p, t, i: campaigns.start(a, p, t, i.campaign)),
    "campaigns.moves.pause": (Action.RUN_CAMPAIGN, lambda a, p, t, i: campaigns.pause(a, p, t, i.campaign)),
    "campaigns.moves.resume": (Action.RUN_CAMPAIGN,
        lambda a, p, t, i: campaigns.resume(a, p, t, i.campaign)),
    "campaigns.moves.way_of": (Action.SEE_TENANT, lambda a, p, t, i: campaigns.way_of(a, p, t, i.campaign)),
    "campaigns.pace.set_pace": (Action.RUN_CAMPAIGN,
        lambda a, p, t, i: campaigns.set_pace(a, p, t, i.campaign, rate_per_second=5.0, send_until=None)),
    "campaigns.causes.causes_of_pause": (Action.SEE_TENANT,
        lambda a, p, t, i: campaigns.causes_of_pause(a, p, t)),
    "campaigns.directory.status": (Action.SEE_TENANT,
        lambda a, p, t, i: campaigns.status(a, p, t, i.campaign)),
    "campaigns.directory.list_campaigns": (Action.SEE_TENANT,
        lambda a, p, t, i: campaigns.list_campaigns(a, p, t)),
    "campaigns.directory.list_messages": (Action.SEE_ADDRESSES,
        lambda a, p, t, i: campaigns.list_messages(a, p, t, i.campaign)),
    "checklist.checklist": (Action.SEE_TENANT, lambda a, p, t, i: checklist.checklist(a, p, t)),
    "checklist.prove_pipeline": (Action.SEND_MESSAGE, lambda a, p, t, i: checklist.prove_pipeline(a, p, t)),
    "alerts.entries.list_open": (Action.SEE_TENANT, lambda a, p, t, i: alerts.list_open(a, p, t)),
    "alerts.entries.list_history": (Action.SEE_TENANT, lambda a, p, t, i: alerts.list_history(a, p, t)),
    "notices.channels.list_channels": (Action.MANAGE_ALERTS,
        lambda a, p, t, i: notices.list_channels(a, p, t)),
    "notices.channels.add": (Action.MANAGE_ALERTS, lambda a, p, t, i: notices.add(a, p, t, **CHANNEL)),
    "notices.channels.change": (Action.MANAGE_ALERTS,
        lambda a, p, t, i: notices.change(a, p, t, i.channel, name="x")),
    "identities.adding.add": (Action.MANAGE_SENDERS, lambda a, p, t, i: identities.add(a, p, t, "localhost")),
    "identities.set_mail_from": (Action.MANAGE_SENDERS,
        lambda a, p, t, i: identities.set_mail_from(a, p, t, i.identity, "elsewhere.net")),
    "onboarding.list_links": (Action.SHARE_ONBOARDING, lambda a, p, t, i: onboarding.list_links(a, p, t)),
    "reports.dry_run.dry_run": (Action.SEE_REPORTS, lambda a, p, t, i: dry_run(a, p, t, **DAYS)),
    "reports.messages.find_messages": (Action.SEE_ADDRESSES,
        lambda a, p, t, i: find_messages(a, p, t, i.address)),
    "reports.messages.recent_events": (Action.SEE_REPORTS, lambda a, p, t, i: recent_events(a, p, t)),
    "reports.pauses.pauses": (Action.SEE_REPORTS, lambda a, p, t, i: pauses(a, p, t, since=DAYS["since"])),
    "reports.rates.rates": (Action.SEE_REPORTS, lambda a, p, t, i: rates(a, p, t, **DAYS)),
    "reports.rates.by_campaign": (Action.SEE_REPORTS, lambda a, p, t, i: by_campaign(a, p, t, **DAYS)),
    "reports.rates.by_domain": (Action.SEE_REPORTS, lambda a, p, t, i: by_domain(a, p, t, **DAYS)),
    "reports.rates.by_provider": (Action.SEE_REPORTS, lambda a, p, t, i: by_provider(a, p, t, **DAYS)),
    "senders.add": (Action.MANAGE_SENDERS, lambda a, p, t, i: senders.add(a, p, t, "nobody")),
    "senders.list_senders": (Action.SEE_TENANT, lambda a, p, t, i: senders.list_senders(a, p, t)),
    "senders.by_address": (Action.SEE_TENANT, lambda a, p, t, i: senders.by_address(a, p, t, i.address)),
    "senders.records": (Action.SEE_TENANT, lambda a, p, t, i: senders.records(a, p, t, i.sender)),
    "senders.findings": (Action.SEE_TENANT, lambda a, p, t, i: senders.findings(a, p, t, i.sender)),
    "senders.removal.list_deleted": (Action.SEE_TENANT, lambda a, p, t, i: senders.list_deleted(a, p, t)),
    "senders.removal.restore": (Action.REMOVE_SENDER, lambda a, p, t, i: senders.restore(a, p, t, i.sender)),
    "senders.set_default": (Action.MANAGE_SENDERS, lambda a, p, t, i: senders.set_default(a, p, t, i.sender)),
    "sending.send": (Action.SEND_MESSAGE,
        lambda a, p, t, i: send(a, p, t, sender_id=i.sender, to="ann@example.com", **MAIL)),
    "suppressions.directory.list_suppressions": (Action.SEE_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.list_suppressions(a, p, t)),
    "suppressions.directory.count": (Action.SEE_SUPPRESSIONS, lambda a, p, t, i: suppressions.count(a, p, t)),
    "suppressions.adding.add": (Action.ADD_SUPPRESSION,
        lambda a, p, t, i: suppressions.add(a, p, t, "nobody")),
    "suppressions.adding.add_several": (Action.ADD_SUPPRESSION,
        lambda a, p, t, i: suppressions.add_several(a, p, t, "nobody")),
    "suppressions.directory.story": (Action.SEE_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.story(a, p, t, MISSING)),
    "suppressions.importing.check_import": (Action.ADD_SUPPRESSION,
        lambda a, p, t, i: suppressions.check_import(a, p, t, b"", "x.csv")),
    "suppressions.importing.import_csv": (Action.ADD_SUPPRESSION,
        lambda a, p, t, i: suppressions.import_csv(a, p, t, b"", "x.csv")),
    "suppressions.ledger.list_differences": (Action.SEE_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.list_differences(a, p, t)),
    "suppressions.ledger.standing": (Action.SEE_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.standing(a, p, t)),
    "suppressions.ledger.repair": (Action.REPAIR_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.repair(a, p, t, MISSING)),
    "suppressions.ledger.repair_all": (Action.REPAIR_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.repair_all(a, p, t)),
    "suppressions.exporting.export_csv": (Action.EXPORT_SUPPRESSIONS,
        lambda a, p, t, i: list(suppressions.export_csv(a, p, t))),
    "templates.save": (Action.DRAFT_CAMPAIGN,
        lambda a, p, t, i: templates.save(a, p, t, "", "Hi", "<p>Hi</p>", "", {})),
    "templates.list_templates": (Action.SEE_TENANT, lambda a, p, t, i: templates.list_templates(a, p, t)),
    "templates.get_content": (Action.SEE_TENANT,
        lambda a, p, t, i: templates.get_content(a, p, t, i.template)),
    "unknown.unknown_of": (Action.SEE_TENANT, lambda a, p, t, i: unknown.unknown_of(a, p, t, i.campaign)),
    "unknown.resend": (Action.RESEND_UNKNOWN,
        lambda a, p, t, i: unknown.resend(a, p, t, i.campaign, expected=1)),
    "unknown.leave": (Action.RESEND_UNKNOWN,
        lambda a, p, t, i: unknown.leave(a, p, t, i.campaign, expected=1)),
    "accounts.sandboxed": (Action.SEE_TENANT, lambda a, p, t, i: accounts.sandboxed(a, p, t)),
    "drift.resources": (Action.SEE_TENANT, lambda a, p, t, i: drift.resources(a, p, t)),
    "drift.differences": (Action.SEE_TENANT, lambda a, p, t, i: drift.differences(a, p, t)),
    "tenants.reputation.set_reputation_policy": (Action.SET_REPUTATION_POLICY,
        lambda a, p, t, i: tenants.set_reputation_policy(a, p, t, "?")),
    "reputation.levels.own_levels": (Action.SEE_REPORTS, lambda a, p, t, i: reputation.own_levels(a, p, t)),
    "reputation.levels.set_levels": (Action.SET_REPUTATION_LIMITS,
        lambda a, p, t, i: reputation.set_levels(a, p, t, Levels(pause_bounce_rate=7.0))),
    "tenants.limits.set_limits": (Action.SET_LIMITS,
        lambda a, p, t, i: tenants.set_limits(a, p, t, per_minute=0, per_hour=None, per_day=None)),
    "tenants.limits.set_fallback_policy": (Action.SET_FALLBACK,
        lambda a, p, t, i: tenants.set_fallback_policy(a, p, t, "?")),
    "tenants.limits.usage": (Action.SEE_TENANT, lambda a, p, t, i: tenants.usage(a, p, t)),
    "warm_ups.walking.start": (Action.WARM_UP,
        lambda a, p, t, i: warm_ups.start(a, p, t, first_day=0, last_day=0, days=0)),
    "warm_ups.walking.stop": (Action.WARM_UP, lambda a, p, t, i: warm_ups.stop(a, p, t)),
    "warm_ups.walking.view": (Action.SEE_TENANT, lambda a, p, t, i: warm_ups.view(a, p, t)),
    "tenants.pausing.pause": (Action.PAUSE_TENANT, lambda a, p, t, i: tenants.pause(a, p, t, " ")),
    "tenants.pausing.probation": (Action.SEE_TENANT, lambda a, p, t, i: tenants.probation(a, p, t)),
    "tenants.pausing.resume": (Action.RESUME_TENANT, lambda a, p, t, i: tenants.resume(a, p, t, " ")),
}  # fmt: skip
# These would reach SES or change the row for somebody who may: called only where they must be refused.
REFUSED_ONLY: dict[str, tuple[Action, Call]] = {
    "campaigns.moves.cancel": (Action.RUN_CAMPAIGN,
        lambda a, p, t, i: campaigns.cancel(a, p, t, i.campaign)),
    "identities.checks.verify_now": (Action.MANAGE_SENDERS,
        lambda a, p, t, i: identities.verify_now(a, p, t, i.identity)),
    "identities.removal.remove_unused": (Action.REMOVE_SENDER,
        lambda a, p, t, i: identities.remove_unused(a, p, t, i.identity)),
    "onboarding.create_link": (Action.SHARE_ONBOARDING,
        lambda a, p, t, i: onboarding.create_link(a, p, t, i.identity)),
    "onboarding.revoke_link": (Action.SHARE_ONBOARDING,
        lambda a, p, t, i: onboarding.revoke_link(a, p, t, i.link)),
    "senders.verify_now": (Action.MANAGE_SENDERS, lambda a, p, t, i: senders.verify_now(a, p, t, i.sender)),
    "senders.removal.remove": (Action.REMOVE_SENDER, lambda a, p, t, i: senders.remove(a, p, t, i.sender)),
    "suppressions.releasing.release": (Action.RELEASE_SUPPRESSION,
        lambda a, p, t, i: suppressions.release(a, p, t, i.address, "asked")),
    "suppressions.releasing.release_several": (Action.RELEASE_SUPPRESSION,
        lambda a, p, t, i: suppressions.release_several(a, p, t, [i.address], "asked")),
    "suppressions.ledger.compare_now": (Action.REPAIR_SUPPRESSIONS,
        lambda a, p, t, i: suppressions.compare_now(a, p, t)),
    "notices.channels.remove": (Action.MANAGE_ALERTS, lambda a, p, t, i: notices.remove(a, p, t, i.channel)),
    "notices.channels.send_test": (Action.MANAGE_ALERTS,
        lambda a, p, t, i: notices.send_test(a, p, t, i.channel)),
    "drift.check": (Action.REPAIR_TENANT, lambda a, p, t, i: drift.check(a, p, t)),
    "drift.repair": (Action.REPAIR_TENANT, lambda a, p, t, i: drift.repair(a, p, t)),
    "tenants.provisioning.repair": (Action.REPAIR_TENANT, lambda a, p, t, i: tenants.repair(a, p, t)),
}  # fmt: skip
OF_INSTALLATION: dict[str, tuple[Action, Callable[[App, Actor], object]]] = {
    "accounts.list_accounts": (Action.SEE_HEALTH, accounts.list_accounts),
    "accounts.refresh_now": (Action.SEE_HEALTH, lambda a, p: accounts.refresh_now(a, p, MISSING)),
    "accounts.request_production_access": (Action.MANAGE_ACCOUNTS,
        lambda a, p: accounts.request_production_access(
            a, p, MISSING, mail_type="?", website_url="", use_case="")),
    "events.dead_letters.look": (Action.SEE_HEALTH, lambda a, p: dead_letters.look(a, p, MISSING)),
    "events.dead_letters.replay": (Action.REPLAY_EVENTS, lambda a, p: dead_letters.replay(a, p, MISSING)),
    "events.dead_letters.discard": (Action.REPLAY_EVENTS,
        lambda a, p: dead_letters.discard(a, p, MISSING, "asked")),
    "events.heartbeat.pulses": (Action.SEE_HEALTH, heartbeat.pulses),
    "events.heartbeat.candidates": (Action.MANAGE_ACCOUNTS, lambda a, p: heartbeat.candidates(a, p, MISSING)),
    "events.heartbeat.set_sender": (Action.MANAGE_ACCOUNTS,
        lambda a, p: heartbeat.set_sender(a, p, MISSING, None)),
    "events.lag.lag_seconds": (Action.SEE_HEALTH, events.lag_seconds),
    "events.parked.list_parked": (Action.SEE_HEALTH, parked.list_parked),
    "events.parked.count_parked": (Action.SEE_HEALTH, parked.count_parked),
    "events.parked.get_parked": (Action.SEE_HEALTH, lambda a, p: parked.get_parked(a, p, MISSING)),
    "events.parked.replay_parked": (Action.REPLAY_EVENTS,
        lambda a, p: parked.replay_parked(a, p, parked.Which(ids=(MISSING,)))),
    "events.parked.discard_parked": (Action.REPLAY_EVENTS,
        lambda a, p: parked.discard_parked(a, p, parked.Which(ids=(MISSING,)), "asked")),
    "installation.holds.find_hold": (Action.SEE_TENANT, installation.find_hold),
    "installation.holds.state": (Action.SEE_HEALTH, installation.state),
    "installation.holds.let_go": (Action.RELEASE_HOLD, installation.let_go),
    "notices.channels.add": (Action.MANAGE_ALL_ALERTS, lambda a, p: notices.add(a, p, None, **CHANNEL)),
    "reputation.brake.standings": (Action.SEE_HEALTH, reputation.brake.standings),
    "reports.health.health": (Action.SEE_HEALTH, health),
    "reports.overview.overview": (Action.SEE_REPORTS, overview),
    "suppressions.ledger.account_standing": (Action.SEE_HEALTH,
        lambda a, p: suppressions.account_standing(a, p, MISSING)),
    "suppressions.ledger.list_account_differences": (Action.SEE_HEALTH,
        lambda a, p: suppressions.list_account_differences(a, p, MISSING)),
    "suppressions.ledger.release_at_account": (Action.RELEASE_AT_ACCOUNT,
        lambda a, p: suppressions.release_at_account(a, p, MISSING, MISSING, "ours")),
    "tenants.provisioning.create": (Action.CREATE_TENANT,
        lambda a, p: tenants.create(a, p, slug="No!", name="x")),
    "tenants.provisioning.check_new": (Action.CREATE_TENANT,
        lambda a, p: tenants.check_new(a, p, slug="No!", name="x")),
    "tenants.directory.list_tenants": (Action.SEE_TENANT, tenants.list_tenants),
    "users.people.list_users": (Action.MANAGE_USERS, users.list_users),
    "users.people.standings": (Action.MANAGE_USERS, users.standings),
    "users.people.create": (Action.MANAGE_USERS,
        lambda a, p: users.create(a, p, username="?", name="x", role=Role.ANALYST)),
    "users.people.assign": (Action.MANAGE_USERS, lambda a, p: users.assign(a, p, "missing")),
    "users.people.disable": (Action.MANAGE_USERS, lambda a, p: users.disable(a, p, "missing")),
    "users.people.enable": (Action.MANAGE_USERS, lambda a, p: users.enable(a, p, "missing")),
    "users.people.reset_password": (Action.MANAGE_USERS, lambda a, p: users.reset_password(a, p, "missing")),
    "users.sessions.revoke_all": (Action.MANAGE_USERS, lambda a, p: users.revoke_all(a, p, "missing")),
}  # fmt: skip
# No action of their own: they look the tenant up for whoever asks, or are about the actor alone.
TESTED_BELOW = {
    "campaigns.directory.find_tenant_of", "tenants.directory.get_by_slug", "users.people.change_password"
}  # fmt: skip
ALL_OF_TENANT = OF_TENANT | REFUSED_ONLY
# Their own tenant's id with another tenant's row.
WITH_ROWS = [
    "campaigns.creating.create", "campaigns.moves.start", "campaigns.moves.pause", "campaigns.moves.resume",
    "campaigns.moves.cancel", "campaigns.moves.way_of", "campaigns.pace.set_pace",
    "campaigns.directory.status", "campaigns.directory.list_messages",
    "unknown.unknown_of", "unknown.resend", "unknown.leave", "identities.checks.verify_now",
    "identities.set_mail_from", "senders.findings", "senders.removal.restore",
    "onboarding.create_link", "onboarding.revoke_link",
    "senders.by_address", "senders.records", "senders.set_default", "senders.verify_now",
    "senders.removal.remove",
    "sending.send", "suppressions.releasing.release", "templates.get_content",
    "notices.channels.change", "notices.channels.remove", "notices.channels.send_test",
]  # fmt: skip
