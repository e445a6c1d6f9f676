"""Our list beside SES's: what differs, what each difference means, and putting it right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import suppressions
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.suppressions import Kind, Repaired, Standing
from pages._ui.actions import ask, asked, confirm, flash, report, watch
from pages._ui.format import ago, count, escape, local, plural
from pages._ui.tables import PAGE, chip, chips, empty, page_of, pick

REPAIR = "repair suppression difference"
REPAIR_ALL = "repair suppression differences"
FREE = "release at account"

MEANINGS = {
    Kind.MISSING_HERE: "SES keeps mail to it back, and it is not on our list: repairing adds it here, with "
    "SES's reason and date (or takes it off SES's list, where it was released here since).",
    Kind.MISSING_AT_SES: "We do not write to it, but SES would: repairing puts it on SES's list.",
}


def draw_ledger(app: App, actor: Actor, tenant: Tenant) -> None:
    standing = suppressions.standing(app, actor, tenant.id)
    may_repair = actor.may(Action.REPAIR_SUPPRESSIONS, tenant.id)
    differ = sum(standing.differences.values())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(_last_compared(app, tenant, standing), width="stretch")
        comparing = may_repair and st.button(
            "Compare now", key="suppressions.compare", icon=":material/sync:"
        )
        if (
            may_repair
            and differ
            and st.button(
                "Repair all", key="suppressions.repair_all", type="primary", icon=":material/build:"
            )
        ):
            ask(REPAIR_ALL)
    if comparing:
        _compare(app, actor, tenant)
    _draw_troubles(standing)
    if differ:
        _draw_differences(app, actor, tenant, standing.differences)
    elif standing.compared_at is None:
        empty("Not compared yet", "It is done by itself once a day, or when somebody asks for it.",
              icon=":material/balance:")  # fmt: skip
    else:
        empty("The lists agree", "Whoever SES keeps mail back from, we do not write to either.",
              icon=":material/balance:")  # fmt: skip


def _last_compared(app: App, tenant: Tenant, standing: Standing) -> str:
    whose = f"SES's list of {escape(tenant.name)}"
    when = ago(standing.compared_at, app.now())
    return f"Compared {when} · {count(standing.listed)} on {whose}" if standing.compared_at else whose


def _compare(app: App, actor: Actor, tenant: Tenant) -> None:
    with report("Compared with SES's lists."):
        watch(
            "Reading SES's lists…",
            lambda: suppressions.compare_now(app, actor, tenant.id),
            lambda: st.caption("A thousand addresses a second."),
        )


def _draw_troubles(standing: Standing) -> None:
    if standing.error:
        st.warning(f"SES did not give its list: {escape(standing.error)}", icon=":material/warning:")
    if standing.is_under_way:
        st.info(
            f"{count(standing.listed)} addresses read so far; the scheduler reads on.", icon=":material/sync:"
        )
    if not standing.is_asked:
        st.error(
            "SES asks the account's list for this tenant's mail, so others' bounces stop it. "
            "Repair the tenant's setup.",
            icon=":material/error:",
        )
        st.page_link("pages/operations/tenants.py", label="Open the tenant's setup", icon=":material/build:")


def _draw_differences(app: App, actor: Actor, tenant: Tenant, numbers: Mapping[str, int]) -> None:
    for kind, meaning in MEANINGS.items():
        if number := numbers.get(kind):
            st.markdown(f"**{count(number)} {kind.value}.** {escape(meaning)}")
    above = st.container()
    rows = page_of(
        f"suppressions.ledger.{tenant.id}",
        lambda before: suppressions.list_differences(app, actor, tenant.id, before_id=before, limit=PAGE),
    )
    with above:
        chosen = pick(
            [
                {
                    "Address": row.address,
                    "What": row.kind,
                    "Reason": chip(row.reason),
                    "At SES since": row.listed_at and local(row.listed_at, tenant.timezone),
                }
                for row in rows
            ],
            key=f"suppressions.differences.{sum(numbers.values())}",
            columns=_columns(),
        )
        if chosen is not None and actor.may(Action.REPAIR_SUPPRESSIONS, tenant.id):
            row = rows[chosen]
            if st.button(f"Repair {escape(row.address)}", key="suppressions.repair", icon=":material/build:"):
                with report():
                    flash(f"{row.address}: {suppressions.repair(app, actor, tenant.id, row.id)}")


def draw_account_list(app: App, actor: Actor, tenant: Tenant) -> None:
    """SES's list of the whole account: for those who see every tenant."""
    standing = suppressions.account_standing(app, actor, tenant.account_id)
    number = sum(standing.differences.values())
    with st.expander(f"SES's list of the whole AWS account ({count(number)})", icon=":material/cloud:"):
        st.caption(
            "Bounces from before the tenants had lists of their own, or of other applications. It keeps mail "
            "back only where SES asks it for a tenant."
        )
        if number:
            _draw_account_rows(app, actor, tenant, number)
        else:
            when = standing.compared_at and f"Compared {ago(standing.compared_at, app.now())}."
            st.caption(f"Nothing stands there. {when}" if when else "Not compared yet.")


def _draw_account_rows(app: App, actor: Actor, tenant: Tenant, number: int) -> None:
    rows = suppressions.list_account_differences(app, actor, tenant.account_id)
    chosen = pick(
        [
            {
                "Address": row.difference.address,
                "Reason": chip(row.difference.reason),
                "At SES since": row.difference.listed_at and local(row.difference.listed_at, tenant.timezone),
                "Written to by": ", ".join(row.written_by),
                "Keeps back mail of": ", ".join(row.kept_back) or "nobody",
            }
            for row in rows
        ],
        key=f"suppressions.account.{number}",
        columns=_columns(),
    )
    if chosen is None:
        return
    difference = rows[chosen].difference
    if not actor.may(Action.RELEASE_AT_ACCOUNT):
        st.caption("Only an administrator takes an address off it: other applications may use the account.")
    elif st.button("Take it off the account's list", key="suppressions.free", icon=":material/undo:"):
        ask(FREE, (difference.id, difference.address))


def _columns() -> dict[str, Any]:
    since = st.column_config.DatetimeColumn("At SES since", format="D MMM YYYY, HH:mm")
    return {"Reason": chips("Reason"), "At SES since": since}


def draw_asked_of_ledger(app: App, actor: Actor, tenant: Tenant) -> None:
    free = asked(FREE)
    if asked(REPAIR_ALL) and actor.may(Action.REPAIR_SUPPRESSIONS, tenant.id):
        confirm(
            "Repair all differences",
            "What is missing here is added here; what is missing at SES is put on its list, about one a "
            "second and at most a minute's worth. Repair again for the rest.",
            label="Repair all",
            act=lambda _: _repair_all(app, actor, tenant),
            done="",
        )
    elif isinstance(free, tuple):
        confirm(
            "Take it off the account's list",
            f"SES delivers mail to {free[1]} again for everybody who uses this AWS account's own list.",
            label="Take it off",
            reason="Reason",
            act=lambda reason: suppressions.release_at_account(
                app, actor, tenant.account_id, free[0], reason
            ),
            done=f"{free[1]} is off the account's list.",
        )


def _repair_all(app: App, actor: Actor, tenant: Tenant) -> None:
    done: Repaired = watch(
        "Repairing…",
        lambda: suppressions.repair_all(app, actor, tenant.id),
        lambda: st.caption(f"SES takes about {app.settings.control_calls_per_second:g} such calls a second."),
    )
    left = f" {plural(done.left, 'difference')} left." if done.left else ""
    first = next(iter(done.kept.items()), None)
    why = f" {first[0]}: {first[1]}" if first else ""
    flash(f"Repaired {plural(done.repaired, 'difference')}.{left}{why}", is_warning=bool(done.kept))
