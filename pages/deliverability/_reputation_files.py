"""Reputation files: what is shown, as it is shown: a chart as PNG, a table as CSV, made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import altair as alt
import streamlit as st

from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.spreadsheets import csv_row
from pages._ui import session
from pages._ui.charts import png

# Columns of rates, which cells hold as percent, and the digits they are shown with.
DIGITS = {"Bounce rate": 2, "Complaint rate": 3, "Open rate": 1, "Click rate": 1}
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else


@dataclass(frozen=True, slots=True)
class View:
    """Who looks at whose reputation, from which day to which, both of them shown."""

    app: App
    actor: Actor
    tenant: Tenant
    since: date
    until: date

    @property
    def in_words(self) -> str:
        since = f"{self.since.day} {self.since:%b}" + (
            f" {self.since:%Y}" if self.since.year != self.until.year else ""
        )
        return f"{since} to {self.until.day} {self.until:%b %Y}"


def offer_png(view: View, chart: alt.LayerChart, title: str, told: str, name: str) -> None:
    """`told`: what the numbers are, which the page says above the chart."""
    under = f"{view.tenant.name} · {view.in_words}, days in {view.tenant.timezone} · {told}"
    _offer(view, "PNG", partial(png, chart, title, under), name, "image/png")


def offer_csv(view: View, rows: Sequence[Mapping[str, Any]], name: str) -> None:
    _offer(view, "CSV", partial(csv_of, rows), name, "text/csv")


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rates are percent, as their column says; a cell is empty where there was nothing to divide by."""
    columns = list(rows[0]) if rows else []
    heads = [f"{column} %" if column in DIGITS else column for column in columns]
    lines = [csv_row(heads), *(csv_row(_cell(column, row[column]) for column in columns) for row in rows)]
    return BYTE_ORDER_MARK + "".join(lines)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.{DIGITS[column]}f}" if column in DIGITS else str(value)


def _offer(view: View, kind: str, make: Callable[[], str | bytes], name: str, mime: str) -> None:
    file = f"reputation-{view.tenant.slug}-{name}-{view.since}-{view.until}.{kind.lower()}"
    st.download_button(
        kind,
        data=partial(_made, view, session.token_of_this_run(), make),
        file_name=file,
        mime=mime,
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
        key=f"reputation.{kind.lower()}.{name}",
    )


def _made(view: View, token: str | None, make: Callable[[], str | bytes]) -> str | bytes:
    """Runs when the file is asked for, maybe long after the page was drawn: who asks is looked up then."""
    session.actor_of(view.app, token).must(Action.SEE_REPORTS, view.tenant.id)
    return make()
