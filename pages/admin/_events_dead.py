"""Dead letters: looked at when somebody asks, because looking takes them out of sight for a moment."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.access import Action, Actor
from core.app import App
from core.events import AccountLag, dead_letters
from core.events.dead_letters import Letter, Looked, Replayed
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, flash, report
from pages._ui.tables import empty, pick
from pages.admin._event_body import draw_body

SEEN = "events.dead.seen"


def draw_dead_letters(app: App, actor: Actor, accounts: Sequence[AccountLag]) -> None:
    if not accounts:
        empty("No queue yet", "The first tenant's set-up makes it, with one for dead letters beside it.")
        return
    names = {account.account_id: account for account in accounts}
    account_id = st.selectbox(
        "Account", names, format_func=lambda key: names[key].name, key="events.dead.account", width=220,
        on_change=_forget,
    )  # fmt: skip
    if st.button("Look", icon=":material/visibility:", key="events.dead.look"):
        with report(rerun=False), st.spinner("Asking SQS …"):
            st.session_state[SEEN] = dead_letters.look(app, actor, account_id)
    looked: Looked | None = st.session_state.get(SEEN)
    if looked is None:
        _draw_unseen(names[account_id])
    elif not looked.letters:
        empty(
            "No dead letter", "Everything that came could be read and stored.", icon=":material/check_circle:"
        )
    else:
        _draw(app, actor, account_id, looked)


def _forget() -> None:
    st.session_state.pop(SEEN, None)


def _draw_unseen(account: AccountLag) -> None:
    if account.dead_letters:
        st.info(
            f"SQS counts {format.plural(account.dead_letters, 'dead letter')} of "
            f"{format.escape(account.name)}. Look to see what they say: each stays where it is.",
            icon=":material/drafts:",
        )
    else:
        st.caption("SQS counted none the last time. Looking asks it now; each letter stays where it is.")


def _draw(app: App, actor: Actor, account_id: int, looked: Looked) -> None:
    st.caption(
        f"{format.count(len(looked.letters))} of about {format.count(looked.count)}. SQS keeps no order: "
        "another look may show others."
    )
    chosen = pick([_row(letter) for letter in looked.letters], key="events.dead.table")
    letter = looked.letters[chosen] if chosen is not None else None
    if letter is not None:
        if letter.fault:
            st.caption(format.escape(f"It cannot be read: {letter.fault}"))
        draw_body(letter.body)
    if actor.may(Action.REPLAY_EVENTS):
        ids = None if letter is None else (letter.id,)
        _buttons(app, actor, account_id, ids, "this letter" if ids else f"all {format.count(looked.count)}")


def _row(letter: Letter) -> dict[str, object]:
    return {
        "Sent": format.moment(letter.sent_at),
        "Says": letter.says,
        "Cannot be read": letter.fault or format.NOTHING,
        "Received": letter.receives,
    }


def _buttons(app: App, actor: Actor, account_id: int, ids: tuple[str, ...] | None, what: str) -> None:
    with st.container(horizontal=True):
        if st.button(f"Replay {what}", icon=":material/replay:", key="events.dead.replay"):
            with report(), st.spinner("Reading, storing, deleting …"):
                _told(dead_letters.replay(app, actor, account_id, ids))
        if st.button(f"Discard {what} …", icon=":material/delete:", key="events.dead.discard"):
            ask("discard dead letters", ids or "all")
    if asked("discard dead letters") == (ids or "all"):
        confirm(
            "Discard dead letters",
            f"Delete {what} of the dead letters for ever?",
            label="Delete",
            reason="Why",
            act=lambda reason: _discard(app, actor, account_id, reason, ids),
            done=f"Discarded {what}.",
            warning="What they say about messages is lost: nothing of it is counted or suppressed.",
        )


def _told(done: Replayed) -> None:
    _forget()
    kept = f" {format.plural(done.kept, 'letter')} still cannot be read or stored." if done.kept else ""
    parked = done.ingested.unmatched + done.ingested.wrong_tenant
    aside = f" {format.plural(parked, 'event')} went to the parked ones." if parked else ""
    flash(f"Replayed {format.plural(done.replayed, 'letter')}.{aside}{kept}", is_warning=bool(done.kept))


def _discard(app: App, actor: Actor, account_id: int, reason: str, ids: tuple[str, ...] | None) -> None:
    dead_letters.discard(app, actor, account_id, reason, ids)
    _forget()
