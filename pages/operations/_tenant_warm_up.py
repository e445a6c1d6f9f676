"""A tenant's warm-up: its plan as a chart and a table, what is left of today, and the buttons for it."""

from __future__ import annotations

from datetime import date, timedelta

import altair as alt
import pandas as pd
import streamlit as st

from core import warm_ups
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.errors import InputError
from core.warm_ups import ADVISED, Plan, WarmUpView
from pages._ui import format
from pages._ui.actions import ask, asked, confirm
from pages._ui.charts import AMBER, BLUE, GRAY
from pages._ui.tables import counts, table

START, STOP = "start warm-up", "stop warm-up"
SENT, ALLOWED, PLANNED = "Sent", "If all goes well", "As planned first"
_COLORS = {SENT: BLUE, ALLOWED: AMBER, PLANNED: GRAY}
WHY = (
    "A new domain has no reputation. A warm-up lets the tenant send more after each day on which bounces "
    "stay below 2 % and complaints below 0.1 %, stays where too little was sent to tell, and goes back where "
    "mail went badly. After its last day there is no limit."
)


def warm_up_card(app: App, actor: Actor, tenant: Tenant) -> None:
    seen = warm_ups.view(app, actor, tenant.id)
    is_under_way = seen is not None and seen.finished_at is None
    may = actor.may(Action.WARM_UP, tenant.id)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Warm-up**", width="content")
        if seen is None:
            st.badge("Never", color="gray", icon=":material/radio_button_unchecked:")
        elif is_under_way:
            st.badge(f"Day {seen.step + 1} of {seen.plan.days}", color="blue", icon=":material/trending_up:")
        else:
            st.badge("Over", color="gray", icon=":material/flag:")
        st.space("stretch")
        if (
            is_under_way
            and may
            and st.button("Stop warm-up", icon=":material/stop_circle:", key="tenants.warm.stop")
        ):
            ask(STOP, tenant.id)
    if seen is not None and is_under_way:
        _under_way(seen)
    else:
        st.caption(format.escape(seen.note) if seen is not None else WHY)
        if may:
            _start(app, actor, tenant)
    if asked(STOP) == tenant.id:
        _confirm_stop(app, actor, tenant)


def _under_way(seen: WarmUpView) -> None:
    with st.grid(4, min_column_width=110):
        st.metric("Today's allowance", format.count(seen.allowance or 0), border=True)
        st.metric("Used today", format.count(seen.used_today), border=True)
        st.metric("Left today", format.count(seen.left_today or 0), border=True)
        st.metric("Ends on", format.day(seen.ends_on) if seen.ends_on else format.NOTHING, border=True,
                  help="The first day without a limit, if each day from now on goes well.")  # fmt: skip
    st.caption(f"Last decision: {format.escape(seen.note)}")
    _chart(seen)
    with st.expander("The plan, day by day"):
        table(
            [
                {
                    "Day": row.number,
                    "Recipients": row.allowance,
                    "Expected on": row.on,
                    "": "Today" if row.is_today else "Done" if row.on is None else "",
                }
                for row in seen.rows
            ],
            key="tenants.warm.plan",
            columns={
                "Recipients": counts("Recipients"),
                "Expected on": st.column_config.DateColumn("Expected on", format="D MMM YYYY"),
            },
        )


def _chart(seen: WarmUpView) -> None:
    """On a scale of powers of ten, on which the plan is a straight line."""
    st.caption("Recipients a day; each line is ten times the one below.")
    ahead = {row.on: row.allowance for row in seen.rows if row.on is not None}
    planned = {seen.started_on + timedelta(days=n): number for n, number in enumerate(seen.plan.allowances())}
    if planned == ahead:  # the one line would hide the other
        planned = {}
    until = max(*ahead, *planned)
    days = [seen.started_on + timedelta(days=n) for n in range((until - seen.started_on).days + 1)]
    x = alt.X("day:O", title=None, sort=[format.day(each) for each in days],
              axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False))  # fmt: skip
    powers = [0, *(10**n for n in range(2, max(3, len(str(seen.plan.last_day)) + 1)))]
    y = alt.Y("number:Q", title=None, scale=alt.Scale(type="symlog", constant=10),
              axis=alt.Axis(values=powers, labelOverlap=False,
                            labelExpr="format(datum.value, ',')"))  # fmt: skip
    colors = {what: color for what, color in _COLORS.items() if planned or what != PLANNED}
    color = alt.Color("what:N", title=None, legend=alt.Legend(orient="bottom", columns=2),
                      scale=alt.Scale(domain=list(colors), range=list(colors.values())))  # fmt: skip
    tooltip = [alt.Tooltip("day:O", title="Day"), alt.Tooltip("what:N", title="What"),
               alt.Tooltip("number:Q", title="Recipients", format=",")]  # fmt: skip
    encoded = {"x": x, "y": y, "color": color, "tooltip": tooltip}
    today = next(row.on for row in seen.rows if row.is_today)
    now = alt.Chart(pd.DataFrame([{"day": format.day(today), "label": "Today"}])).encode(x=x)
    chart = alt.layer(
        _points(SENT, seen.sent).mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2).encode(**encoded),
        _points(PLANNED, planned).mark_line(strokeDash=[5, 4], strokeWidth=1.5).encode(**encoded),
        _points(ALLOWED, ahead).mark_line(point=True, strokeWidth=2).encode(**encoded),
        now.mark_rule(color=GRAY, strokeDash=[2, 2]),
        now.mark_text(color=GRAY, align="left", baseline="top", dx=5, fontSize=11).encode(
            text="label:N", y=alt.value(0)
        ),
    )
    st.altair_chart(
        chart.properties(height=300).configure_view(strokeWidth=0), width="stretch", key="tenants.warm.chart"
    )


def _points(what: str, numbers_by_day: dict[date, int]) -> alt.Chart:
    rows = [
        {"day": format.day(day), "what": what, "number": number} for day, number in numbers_by_day.items()
    ]
    return alt.Chart(pd.DataFrame(rows, columns=["day", "what", "number"]))


def _start(app: App, actor: Actor, tenant: Tenant) -> None:
    with st.grid(3, min_column_width=140):
        first = st.number_input(
            "Recipients on the first day", value=ADVISED.first_day, key="tenants.warm.first"
        )
        last = st.number_input("Recipients on the last day", value=ADVISED.last_day, key="tenants.warm.last")
        days = st.number_input("Days", value=ADVISED.days, key="tenants.warm.days")
    plan = Plan(first, last, days)
    try:
        plan.check()
    except InputError as e:
        st.error(format.escape(str(e)), icon=":material/error:")
        return
    st.caption(f"{plan.summary}: {', '.join(map(format.count, plan.allowances()[:6]))} …")
    if plan.warning:
        st.warning(format.escape(plan.warning), icon=":material/warning:")
    if st.button("Start warm-up", icon=":material/trending_up:", key="tenants.warm.start"):
        ask(START, tenant.id)
    if asked(START) == tenant.id:
        confirm(
            f"Warm up {format.escape(tenant.name)}",
            f"{plan.summary}. Today it may write to {plan.first_day:,} recipients, those it wrote to already "
            "included; campaigns that need more go on tomorrow.",
            label="Start warm-up",
            act=lambda _: warm_ups.start(app, actor, tenant.id, first_day=first, last_day=last, days=days),
            done=f"{tenant.name} is being warmed up.",
        )  # fmt: skip


def _confirm_stop(app: App, actor: Actor, tenant: Tenant) -> None:
    confirm(
        f"Stop the warm-up of {format.escape(tenant.name)}",
        "Its limit is gone at once, and mail that waits for tomorrow leaves now. Started anew, it begins "
        "with the first day.",
        label="Stop warm-up",
        act=lambda _: warm_ups.stop(app, actor, tenant.id),
        done=f"The warm-up of {tenant.name} is stopped.",
    )
