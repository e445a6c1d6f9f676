"""The past that the bench of the reputation page reads: what ingest would have left of so much mail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sqlalchemy import func, select

from bench import rollups
from bench.cases.reputation import read_page
from bench.rollups import CAMPAIGNS, DAYS, Past
from core.app import build_app
from core.db.engine import Database
from core.db.models import DailyCount, DomainCount, DomainTotal, Message
from core.settings import Settings


def test_a_past_has_its_mail_by_day_by_campaign_and_by_domain(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bench.db'}"
    db = Database(url)
    rollups.write(db, Past(4_000, rows=True))
    with db.read() as session:
        by_day, by_domain, in_all = (
            session.scalar(select(func.sum(column)))
            for column in (DailyCount.sent, DomainCount.sent, DomainTotal.sent)
        )
        campaigns = session.scalar(select(func.count(Message.campaign_id.distinct())))
        messages = session.scalar(select(func.count(Message.id)))
    assert by_domain == in_all == 4_000
    assert abs(by_day - 4_000) <= DAYS
    assert (campaigns, messages) == (CAMPAIGNS, 4_001)

    rates, pauses, by_campaign, domains, providers, _ = read_page(
        replace(build_app(Settings.load(database_url=url)), db=db)
    )
    assert len(rates) == DAYS + 7
    assert len(pauses) == rollups.PAUSES
    assert len(by_campaign) == 51
    assert len(domains) == 50
    assert {"Gmail", "Yahoo", "Outlook"} < {row.provider for row in providers}
    db.dispose()
