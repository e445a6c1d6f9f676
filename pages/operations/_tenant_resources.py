"""What a tenant has in AWS: each thing it needs, whether it is there, and making what is not."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import drift
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant, TenantResource
from core.db.states import ResourceState
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, flash, report, watch
from pages._ui.tables import chip, chips, table

REPAIR = "repair tenant"
# At most: each thing is looked for before and after, and what is not as it should be is made.
LOOKS, MAKING, STEPS = 2, 3, 8


def resources_card(app: App, actor: Actor, tenant: Tenant) -> None:
    found = drift.resources(app, actor, tenant.id)
    wrong = [each for each in found if each.state != ResourceState.DONE]
    checking = False
    with st.container(border=True, key="tenants.resources"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**In Amazon SES, SNS and SQS**", width="stretch")
            if actor.may(Action.REPAIR_TENANT, tenant.id):
                checking = st.button("Check for drift now", icon=":material/sync:", key="tenants.check")
                if tenant.provisioned_at is not None:  # else it stands at the top
                    repair_button(tenant, urgent=bool(wrong))
        if checking:
            _check(app, actor, tenant)
        _summary(found, tenant, app)
        for each in wrong:
            draw_step(each)
        if found:
            with st.expander(f"All {format.plural(len(found), 'thing')} it needs", expanded=not wrong):
                _table(found)


def repair_button(tenant: Tenant, *, urgent: bool) -> None:
    if st.button("Repair", icon=":material/build:", key="tenants.repair",
                 type="primary" if urgent else "secondary",
                 help="Makes what is missing; what is there stays."):  # fmt: skip
        ask(REPAIR, tenant.id)
        st.rerun()


def repair_dialog(app: App, actor: Actor, tenant: Tenant) -> None:
    """Drawn once a page, whichever button asked for it."""
    if asked(REPAIR) != tenant.id or not actor.may(Action.REPAIR_TENANT, tenant.id):
        return
    known = drift.resources(app, actor, tenant.id)
    wrong = [each.key for each in known if each.state != ResourceState.DONE]
    calls = LOOKS * max(len(known), STEPS) + MAKING * len(wrong)
    rate = app.settings.control_calls_per_second
    confirm(
        f"Repair {format.escape(tenant.name)}",
        f"{_what_is_made(wrong)} What is there as it should be stays. Allow "
        f"{format.duration(max(calls / rate, 5))}: Amazon SES takes {rate:g} such calls a second.",
        label="Repair",
        act=lambda _: _repair(app, actor, tenant),
        done="",
    )


def draw_step(each: TenantResource) -> None:
    """One thing as a line: its state, what it is, and what AWS said of it."""
    shown = format.status(each.state)
    said = f": {format.escape(each.detail)}" if each.detail else ""
    line = "" if each.state == ResourceState.DONE else f" · {shown.label.lower()}{said}"
    _line(f":{shown.color}[{shown.icon}]", f"**{format.escape(_title(each.key))}**{line}")


def draw_steps(app: App, actor: Actor, tenant_id: int) -> None:
    """How far a plan has come, from what is stored of it: what is missing is only not made yet."""
    for each in drift.resources(app, actor, tenant_id):
        if each.state == ResourceState.MISSING:
            _line(":gray[:material/radio_button_unchecked:]", format.escape(_title(each.key)))
        else:
            draw_step(each)


def _line(icon: str, told: str) -> None:
    with st.container(horizontal=True, wrap=False, gap="small"):
        st.markdown(icon, width="content")
        st.markdown(told, width="stretch")


def what_is_missing(found: Sequence[TenantResource]) -> str:
    """As a sentence's end: "SES tenant failed; configuration set and SNS topic are missing"."""
    parts = [f"{each.key} {format.status(each.state).label.lower()}" for each in found]
    return ", ".join(parts) or "nothing is made yet"


def _summary(found: Sequence[TenantResource], tenant: Tenant, app: App) -> None:
    checked = f"Checked {format.ago(tenant.drift_checked_at, app.now())}" if tenant.drift_checked_at else ""
    if not found:
        st.caption("Nobody has looked yet what is there. Postyard does once a day.")
        return
    right = sum(each.state == ResourceState.DONE for each in found)
    with st.container(horizontal=True, vertical_alignment="center"):
        color, icon = ("green", "check_circle") if right == len(found) else ("orange", "warning")
        st.badge(f"{right} of {len(found)} as they should be", color=color, icon=f":material/{icon}:")  # type: ignore[arg-type]
        st.caption(f"{checked or 'As last made'} · looked at once a day", width="content")


def _table(found: Sequence[TenantResource]) -> None:
    columns = {
        "State": chips("State", width=110),
        "What": st.column_config.TextColumn("What", width=230),
        "Name in AWS": st.column_config.TextColumn("Name in AWS", width=280),
        "Detail": st.column_config.TextColumn("Detail", width="large"),
    }
    table([_row(each) for each in found], key="tenants.resources.table", columns=columns)


def _row(each: TenantResource) -> dict[str, object]:
    return {
        "State": chip(each.state),
        "What": _title(each.key),
        "Name in AWS": each.name,
        "Detail": each.detail,
    }


def _title(key: str) -> str:
    return key[:1].upper() + key[1:]


def _what_is_made(wrong: Sequence[str]) -> str:
    if not wrong:
        return "Postyard looks for everything the tenant needs in AWS and makes what it does not find."
    return f"Postyard looks for everything the tenant needs in AWS and makes or mends: {', '.join(wrong)}."


def _check(app: App, actor: Actor, tenant: Tenant) -> None:
    with report(), st.spinner("Asking AWS about each thing …"):
        wrong = _not_right(drift.check(app, actor, tenant.id))
        if wrong:
            flash(f"Looked at everything {tenant.name} needs in AWS: {wrong}.", is_warning=True)
        else:
            flash(f"Looked at everything {tenant.name} needs in AWS: all is as it should be.")


def _repair(app: App, actor: Actor, tenant: Tenant) -> None:
    after = watch(
        "Walking the plan",
        lambda: drift.repair(app, actor, tenant.id),
        lambda: draw_steps(app, actor, tenant.id),
    )
    if left := _not_right(after):
        flash(f"Made what could be made for {tenant.name}: {left} all the same.", is_warning=True)
    else:
        flash(f"{tenant.name} is complete in SES.")


def _not_right(found: Sequence[TenantResource]) -> str:
    """ "3 things are not as they should be"; empty when all are."""
    wrong = sum(each.state != ResourceState.DONE for each in found)
    if not wrong:
        return ""
    return f"{format.plural(wrong, 'thing')} {'is not as it' if wrong == 1 else 'are not as they'} should be"
