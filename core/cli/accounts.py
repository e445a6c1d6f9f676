"""`postyard accounts`: the AWS accounts we send through, what SES allows them, and production access."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import core.accounts
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, file_argument, operation, read_text, table
from core.db.models import Account
from core.errors import InputError


@click.group()
def accounts() -> None:
    """AWS accounts: what SES allows them, and production access."""


@accounts.command("list")
@operation
def list_(app: App, actor: Actor) -> Answer:
    """All accounts and what SES last said that each may do."""
    return _answer(core.accounts.list_accounts(app, actor))


@accounts.command("refresh")
@operation
def refresh(app: App, actor: Actor) -> Answer:
    """Ask SES now, also about the review of production access."""
    known = core.accounts.list_accounts(app, actor)
    return _answer([core.accounts.refresh_now(app, actor, account.id) for account in known])


@accounts.command("request-access")
@click.argument("account", default=core.accounts.PLATFORM)
@click.option("--mail-type", required=True, help="MARKETING or TRANSACTIONAL: what most of the mail is.")
@click.option("--website", required=True, metavar="URL", help="Where a reviewer sees who sends.")
@click.option("--use-case", default="", help="What is sent, to whom, and how bounces are treated.")
@click.option("--use-case-file", type=file_argument, help="The same, from a file in UTF-8.")
@click.option("--language", default="EN", show_default=True, help="EN or JA: for AWS's answer.")
@click.option("--contact", "contacts", multiple=True, metavar="ADDRESS", help="Who else AWS may write to.")
@operation
def request_access(
    app: App,
    actor: Actor,
    account: str,
    mail_type: str,
    website: str,
    use_case: str,
    use_case_file: Path | None,
    language: str,
    contacts: tuple[str, ...],
) -> Answer:
    """Ask AWS to let an account out of the sandbox."""
    asked = core.accounts.request_production_access(
        app,
        actor,
        _find(app, actor, account).id,
        mail_type=mail_type,
        website_url=website,
        use_case=use_case or read_text(use_case_file),
        contact_language=language,
        contacts=contacts,
    )
    return Answer(as_json(asked), "AWS reviews it, usually within a day: postyard accounts list shows how.")


def _find(app: App, actor: Actor, name: str) -> Account:
    for account in core.accounts.list_accounts(app, actor):
        if account.name == name:
            return account
    raise InputError(f"There is no account '{name}'. Creating the first tenant makes it.", field="account")


def _answer(accounts: list[Account]) -> Answer:
    rows = [
        (
            account.name,
            account.region,
            f"{account.max_send_rate:g}/s",
            f"{account.sent_last_24_hours:g} of {_quota(account)}",
            "yes" if account.production_access else "no: sandbox",
            account.review_status,
            account.enforcement_status if account.sending_enabled else "PAUSED BY AWS",
        )
        for account in accounts
    ]
    headers = ("ACCOUNT", "REGION", "RATE", "SENT IN 24 H", "PRODUCTION ACCESS", "REVIEW", "STANDING")
    return Answer([as_json(account) for account in accounts], table(headers, rows))


def _quota(account: Account) -> str:
    return "unlimited" if account.max_24_hour_send < 0 else f"{account.max_24_hour_send:g}"


def as_json(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "region": account.region,
        "aws_account_id": account.aws_account_id,
        "max_send_rate": account.max_send_rate,
        "max_24_hour_send": account.max_24_hour_send,
        "sent_last_24_hours": account.sent_last_24_hours,
        "production_access": account.production_access,
        "sending_enabled": account.sending_enabled,
        "enforcement_status": account.enforcement_status,
        "review_status": account.review_status,
        "review_case_id": account.review_case_id,
        "access_request": account.access_request,
        "access_requested_at": account.access_requested_at,
        "access_requested_by": account.access_requested_by,
        "checked_at": account.checked_at,
    }
