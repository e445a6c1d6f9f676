"""DNS exports: the records that are still missing, as files which DNS providers read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

import streamlit as st

from core import senders, zonefiles
from core.app import App
from core.db.models import Tenant
from core.dns import Finding, Verdict
from core.senders import SenderView
from pages._ui import session


class Export(NamedTuple):
    name: str
    label: str
    write: Callable[[str, Sequence[Finding], datetime | None], str]
    ending: str
    mime: str
    how: str


EXPORTS = (
    Export(
        "bind", "BIND zone file", zonefiles.bind, ".zone.txt", "text/plain",
        "Append it to the zone's file, or import it where your DNS provider takes zone files.",
    ),
    Export(
        "route53", "Route 53 change batch", zonefiles.route53, "-route53.json", "application/json",
        "With the AWS command line: `aws route53 change-resource-record-sets --change-batch file://…`",
    ),
    Export(
        "cloudflare", "Cloudflare import file", zonefiles.cloudflare, "-cloudflare.txt", "text/plain",
        "In Cloudflare: DNS, Records, Import and export, then choose this file. Leave the proxy off.",
    ),
)  # fmt: skip


def draw_exports(app: App, tenant: Tenant, view: SenderView, findings: Sequence[Finding]) -> None:
    with st.container(border=True, gap="small"):
        st.markdown("**Import the records**")
        if all(finding.verdict == Verdict.FOUND for finding in findings):
            st.caption("Every record is found: there is nothing left to import.")
            return
        st.caption("What is not found yet, as a file. Other records of the domain stay as they are.")
        for export in EXPORTS:
            st.download_button(
                export.label,
                data=partial(_written, app, session.token_of_this_run(), tenant.id, view, export),
                file_name=f"{view.identity.name}{export.ending}",
                mime=export.mime,
                icon=":material/download:",
                on_click="ignore",
                key=f"sender.export.{export.name}",
                width="stretch",
            )
            st.caption(export.how)


def _written(app: App, token: str | None, tenant_id: int, view: SenderView, export: Export) -> str:
    """Runs when the file is asked for, maybe long after this run: who asks is looked up then."""
    actor = session.actor_of(app, token)
    findings = senders.findings(app, actor, tenant_id, view.sender.id)
    return export.write(view.identity.name, findings, view.identity.checked_at)
