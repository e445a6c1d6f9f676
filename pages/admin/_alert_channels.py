"""Where alerts are sent: the channels, what became of the last notices, and what can be done to a channel."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core import notices
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.notices import ChannelKind, ChannelView, Tested
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report, stop_asking
from pages._ui.layout import row, text
from pages._ui.tables import badge, empty

ADD, REMOVE = "add alert channel", "remove alert channel"
ICONS = {"email": ":material/mail:", "webhook": ":material/webhook:"}
KINDS = {ChannelKind.EMAIL: "E-mail", ChannelKind.WEBHOOK: "Webhook (Slack)"}
EVERYTHING = "All tenants, and the installation"


def draw_channels(app: App, actor: Actor, seen: Mapping[int, Tenant]) -> None:
    channels = notices.list_channels(app, actor)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("Each alert is told once, and once more when it is over.", width="stretch")
        if st.button("Add a channel", key="alerts.add", icon=":material/add:", type="primary"):
            ask(ADD)
    if asked(ADD):
        _add(app, actor, seen)
    if not channels:
        empty("Alerts are sent nowhere yet", "Add an e-mail address or a Slack webhook: people hear at once.",
              icon=":material/notifications_off:")  # fmt: skip
    for view in channels:
        with st.container(border=True, key=f"alerts.channel.{view.id}"):
            _channel(app, actor, view, seen)
    gone = asked(REMOVE)
    for view in channels:
        if view.id == gone:
            _remove(app, actor, view)


def _channel(app: App, actor: Actor, view: ChannelView, seen: Mapping[int, Tenant]) -> None:
    with row(f"channel-{view.id}", align="top"):
        st.markdown(ICONS[view.kind], width="content")
        with text(f"channel-{view.id}"):
            st.markdown(f"**{format.escape(view.name)}** · {format.escape(view.target)}")
            st.caption(f"{_about(view, seen)} · {_last(app, view)}")
        badge("active" if view.is_active else "disabled")
    if view.last_error:
        st.warning(_trouble(view), icon=":material/warning:")
    if actor.may(Action.MANAGE_ALERTS if view.tenant_id else Action.MANAGE_ALL_ALERTS):
        _buttons(app, actor, view)
    else:
        st.caption("Of the whole installation: an administrator changes it.")


def _about(view: ChannelView, seen: Mapping[int, Tenant]) -> str:
    tenant = seen.get(view.tenant_id or 0)
    return format.escape(tenant.name) if tenant else EVERYTHING


def _last(app: App, view: ChannelView) -> str:
    if view.last_sent_at is None:
        return "nothing sent yet"
    return f"last sent {format.ago(view.last_sent_at, app.now())}"


def _trouble(view: ChannelView) -> str:
    waiting = f" {format.plural(view.waiting, 'notice')} will be tried again." if view.waiting else ""
    lost = f" {format.plural(view.given_up, 'notice')} could not be told." if view.given_up else ""
    return format.escape(view.last_error or "") + waiting + lost


def _buttons(app: App, actor: Actor, view: ChannelView) -> None:
    tested: Tested | None = None
    with st.container(horizontal=True):
        if st.button("Test now", key=f"alerts.test.{view.id}", icon=":material/send:"):
            with report(rerun=False), st.spinner("Sending …"):
                tested = notices.send_test(app, actor, view.tenant_id, view.id)
        label = "Switch off" if view.is_active else "Switch on"
        if st.button(label, key=f"alerts.switch.{view.id}", icon=":material/power_settings_new:"):
            with report(f"{view.name} is switched {'off' if view.is_active else 'on'}."):
                notices.change(app, actor, view.tenant_id, view.id, is_active=not view.is_active)
        if st.button("Remove", key=f"alerts.remove.{view.id}", icon=":material/delete:"):
            ask(REMOVE, view.id)
    if tested is not None and tested.ok:
        st.success(format.escape(tested.said), icon=":material/check_circle:")
    elif tested is not None:
        st.error(format.escape(tested.said), icon=":material/error:")


def _remove(app: App, actor: Actor, view: ChannelView) -> None:
    confirm(
        "Remove the channel",
        f"No more alerts are sent to {view.name}, and its address is forgotten.",
        label="Remove",
        act=lambda _: notices.remove(app, actor, view.tenant_id, view.id),
        done=f"{view.name} is removed.",
    )


def _add(app: App, actor: Actor, seen: Mapping[int, Tenant]) -> None:
    scopes = [*([0] if actor.may(Action.MANAGE_ALL_ALERTS) else []), *seen]

    @st.dialog("Add a channel", icon=":material/notifications:", on_dismiss=stop_asking)
    def _dialog() -> None:
        kind = st.radio("Send alerts by", list(KINDS), format_func=KINDS.__getitem__, horizontal=True,
                        key="alerts.add.kind")  # fmt: skip
        with st.form("alerts.add.form", border=False):
            target = _ask_target(app, kind)
            scope = st.selectbox(
                "About", scopes, format_func=lambda key: seen[key].name if key else EVERYTHING,
                key="alerts.add.scope",
            )  # fmt: skip
            name = st.text_input("Name (optional)", key="alerts.add.name", max_chars=80)
            agreed = st.form_submit_button("Add", type="primary", key="alerts.add.yes")
        if agreed:
            with report("The channel is added. Try it: Test now."):
                notices.add(app, actor, scope or None, kind=kind, target=target, name=name)

    _dialog()


def _ask_target(app: App, kind: ChannelKind) -> str:
    if kind is ChannelKind.WEBHOOK:
        return st.text_input(
            "Webhook's address", type="password", autocomplete="off", key="alerts.add.url",
            help="Of Slack, or of what takes the same. It is a secret: nobody sees it again.",
        )  # fmt: skip
    if not app.settings.alert_from:
        st.info("Mail needs a sender: set POSTYARD_ALERT_FROM.", icon=":material/info:")
    return st.text_input("E-mail address", key="alerts.add.email", max_chars=254, placeholder="name@domain")
