"""Actions: what a button does, and what its reader is told.

    if st.button("Verify now", key="senders.verify"):
        with report(f"Checked {name}."):
            identities.verify_now(app, actor, tenant.id, identity.id)

Success is a flash that survives the rerun `report` starts, so the page is drawn again from what is stored
now; a PostyardError is shown where the button is and the page goes on. Anything else is a bug and is seen
as one. `confirm` asks before something that cannot be taken back; `watch` shows how far a long one is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import streamlit as st

from core.errors import PostyardError
from pages._ui import session
from pages._ui.format import escape

FLASH = "flash"
ASKING = "asking"
WATCHED_EVERY_SECONDS = 0.5

T = TypeVar("T")


@contextmanager
def report(success: str = "", *, rerun: bool = True) -> Iterator[None]:
    """Run a use case. `success` may be empty; `rerun=False` when the block itself goes elsewhere
    (st.switch_page) or shows its result at once. Never put an st. call that can stop the run inside.
    The block does not run when the reader's session or rights have changed since the page was drawn."""
    session.must_hold()
    try:
        yield
    except PostyardError as e:
        st.error(escape(str(e)), icon=":material/error:")
        return
    if success:
        flash(success)
    if rerun:
        stop_asking()
        st.rerun()


def live(draw: Callable[..., None], every: float | None) -> Callable[..., None]:
    """A part of the page that draws itself anew each `every` seconds, for as long as the session holds."""

    @functools.wraps(draw)
    def guarded(*args: Any, **kwargs: Any) -> None:
        session.must_hold(clicked=False)
        draw(*args, **kwargs)

    return st.fragment(guarded, run_every=every)


def watch(label: str, act: Callable[[], T], draw: Callable[[], None]) -> T:
    """For a use case of many calls, inside `report`: `act` runs on a thread of its own, to its end even when
    its reader leaves, and `draw` shows meanwhile what it has stored so far. `act` must not draw."""
    with st.status(label, expanded=True):
        place = st.empty()
        thread = ThreadPoolExecutor(max_workers=1)
        running = thread.submit(act)
        thread.shutdown(wait=False)
        while not wait([running], timeout=WATCHED_EVERY_SECONDS).done:
            with place.container(gap="xsmall"):
                draw()
        with place.container(gap="xsmall"):
            draw()
        return running.result()


def flash(message: str, *, is_warning: bool = False) -> None:
    """Say it at the top of whatever is drawn next."""
    st.session_state[FLASH] = (message, is_warning)


def show_flash() -> None:
    """Drawn by begin(), under the page's title."""
    message, is_warning = st.session_state.pop(FLASH, ("", False))
    if message and is_warning:
        st.warning(escape(message), icon=":material/warning:")
    elif message:
        st.success(escape(message), icon=":material/check_circle:")


def ask(question: str, subject: object = True) -> None:
    """Open the dialog of this name on this run and the next ones, about `subject` (an id, a slug)."""
    st.session_state[ASKING] = (question, subject)


def asked(question: str) -> object | None:
    """The subject of the open question, or None:

    if (tenant_id := asked("pause tenant")) is not None:
        confirm_pause(tenant_id)          # an st.dialog(on_dismiss=stop_asking)
    """
    name, subject = st.session_state.get(ASKING, ("", None))
    return subject if name == question else None


def stop_asking() -> None:
    st.session_state.pop(ASKING, None)


def confirm(
    title: str,
    question: str,
    *,
    label: str,
    act: Callable[[str], object],
    done: str,
    reason: str = "",
    warning: str = "",
) -> None:
    """Draw a dialog with one button; `reason` is the label of a text that must be filled in and is handed to
    `act`. Call it while `asked(...)` says so; it closes itself when `act` has succeeded."""

    @st.dialog(title, on_dismiss=stop_asking)
    def _dialog() -> None:
        st.markdown(escape(question))
        if warning:
            st.warning(escape(warning), icon=":material/warning:")
        given = st.text_input(reason, key="confirm.reason", max_chars=200).strip() if reason else ""
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Cancel", key="confirm.cancel"):
                stop_asking()
                st.rerun()
            agreed = st.button(label, key="confirm.yes", type="primary")
        if agreed and reason and not given:
            st.error(f"{reason}: say it in a few words; it is kept in the audit log.")
        elif agreed:
            with report(done):
                act(given)

    _dialog()
