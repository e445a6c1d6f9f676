"""Plans: the three demo tenants. Every name, domain and number is made up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BadWeek:
    """A bought list that bounced: Postyard paused the tenant, a person resumed it."""

    days_ago: int
    campaign: str
    recipients: int
    bounce_rate: float
    paused_days: int


@dataclass(frozen=True, slots=True)
class Plan:
    slug: str
    name: str
    timezone: str
    sender: str
    display_name: str
    themes: tuple[str, ...]
    campaign_weekday: int  # 0: Monday
    readers: int
    bounce_rate: float
    complaint_rate: float
    open_rate: float
    daily_mail: int  # transactional, on a working day
    pending_sender: str | None = None
    bad_week: BadWeek | None = None


PLANS = (
    Plan(
        slug="acme-demo",
        name="Acme Retail (demo)",
        timezone="Asia/Singapore",
        sender="news@acme-mail.io",
        display_name="Acme Retail",
        themes=("New arrivals", "Weekend offers", "Members' evening", "Last sizes", "Gift guide"),
        campaign_weekday=1,
        readers=560,
        bounce_rate=0.011,
        complaint_rate=0.0004,
        open_rate=0.38,
        daily_mail=14,
    ),
    Plan(
        slug="globex-demo",
        name="Globex Travel (demo)",
        timezone="Europe/Berlin",
        sender="hello@globex-post.net",
        display_name="Globex Travel",
        themes=("City breaks", "Night trains", "Early birds", "Islands in winter"),
        campaign_weekday=3,
        readers=480,
        bounce_rate=0.022,
        complaint_rate=0.0006,
        open_rate=0.31,
        daily_mail=22,
        bad_week=BadWeek(
            days_ago=10, campaign="Trade fair contacts", recipients=320, bounce_rate=0.17, paused_days=3
        ),
    ),
    Plan(
        slug="initech-demo",
        name="Initech Academy (demo)",
        timezone="America/New_York",
        sender="courses@initech-academy.io",
        display_name="Initech Academy",
        themes=("Spring term", "Open lecture", "Exam dates", "Library news"),
        campaign_weekday=2,
        readers=350,
        bounce_rate=0.006,
        complaint_rate=0.0,
        open_rate=0.52,
        daily_mail=8,
        pending_sender="office@initech-letters.net",
    ),
)
