"""Mail: an alert as a plain text, through the installation's own SMTP server, or SES itself."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.app import App
from core.db.models import Account, Identity, Tenant
from core.errors import ProviderError
from core.notices.deadline import cut_off
from core.plain import visible
from core.providers.base import Outcome, PlainMail

SECONDS = 10.0  # of each step with an SMTP server
ALL_SECONDS = 60.0  # of all steps together; a claim of notices lasts longer


@dataclass(frozen=True, slots=True)
class MailServer:
    host: str
    port: int
    is_tls: bool  # from its first byte; otherwise STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_here(self) -> bool:
        """On this host nobody listens between us."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class _Over(smtplib.SMTP):
    """SMTP over a connection that is there already."""

    def __init__(self, connection: socket.socket, to: MailServer) -> None:
        self._connection = connection
        super().__init__(to.host, to.port, timeout=SECONDS)

    def _get_socket(self, *_: Any) -> socket.socket:
        return self._connection


def send(app: App, to_address: str, subject: str, text: str, *, key: str) -> None:
    """Raises ProviderError unless it was taken. The same `key`, the same Message-ID: a mailbox that got it
    twice may show it once."""
    if not app.settings.alert_from:
        raise ProviderError(
            "There is no sender for alerts: set POSTYARD_ALERT_FROM, an address at a domain verified at SES.",
            permanent=False,
        )
    mail = PlainMail(app.settings.alert_from, to_address, visible(subject), text)
    if app.settings.smtp_url is None:
        _by_ses(app, mail)
    else:
        _by_smtp(server(app.settings.smtp_url.get_secret_value()), _message(app, mail, key))


def server(url: str) -> MailServer:
    parts = urlsplit(url)
    is_tls = parts.scheme == "smtps"
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or (465 if is_tls else 587),
        is_tls=is_tls,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def _message(app: App, mail: PlainMail, key: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = mail.from_address
    message["To"] = mail.to_address
    message["Subject"] = mail.subject
    message["Date"] = format_datetime(app.now())
    message["Message-ID"] = f"<{key}@{parseaddr(mail.from_address)[1].rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    return message


def _by_smtp(to: MailServer, message: EmailMessage) -> None:
    if why := _why_not(to, message):
        raise _failed(why)  # not where it was caught: what the server said of a password is not chained to it


def _why_not(to: MailServer, message: EmailMessage) -> str:
    """ "" when it was taken."""
    if not f"{to.user}{to.password}".isascii():
        return f"The user name or the password for {to.host} has signs other than ASCII, which cannot be sent"
    ends_at = time.monotonic() + ALL_SECONDS
    try:
        with socket.create_connection((to.host, to.port), timeout=SECONDS) as raw, cut_off(raw, ends_at):
            _hand_over(to, raw, message)
    except (OSError, ValueError) as e:  # smtplib's own are OSError as well; ValueError: of a name no host has
        return _why(to, e, is_late=time.monotonic() >= ends_at)
    return ""


def _hand_over(to: MailServer, raw: socket.socket, message: EmailMessage) -> None:
    context = ssl.create_default_context()
    with context.wrap_socket(raw, server_hostname=to.host) if to.is_tls else raw as secured:
        connection = _Over(secured, to)
        try:
            connection.ehlo()
            if not (to.is_tls or to.is_here):  # raises where it is not offered: nothing goes in the clear
                connection.starttls(context=context)
            if to.user:
                connection.login(to.user, to.password)
            connection.send_message(message)
            with suppress(OSError):  # it was taken, whatever is answered to a good-bye
                connection.quit()
        finally:
            connection.close()


def _why(to: MailServer, error: Exception, *, is_late: bool) -> str:
    if is_late:
        return f"{to.host} did not take the mail within {ALL_SECONDS:.0f} s"
    if isinstance(error, smtplib.SMTPException):
        return f"{to.host} did not take the mail: {_reason(error)}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{to.host} has no good certificate ({error.verify_message})"
    return f"{to.host}, port {to.port}, does not answer ({type(error).__name__})"


def _reason(error: smtplib.SMTPException) -> str:
    """Without what the server said of a password: it could repeat it."""
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"it refused the user name or the password ({error.smtp_code})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "it does not offer STARTTLS, or no way to log in; use smtps://"
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "; ".join(f"{code} {_text(said)}" for code, said in error.recipients.values())
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{error.smtp_code} {_text(error.smtp_error)}"
    return type(error).__name__


def _text(said: bytes | str) -> str:
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
    return visible(" ".join(text.split()))[:200]


def _by_ses(app: App, mail: PlainMail) -> None:
    with app.db.read() as session:
        region = _region(session, mail.from_address) or app.settings.region
    result = app.providers.email(region).send_plain(mail)
    if result.outcome is not Outcome.ACCEPTED:
        raise _failed((result.reason or result.code or result.outcome.value).rstrip("."))


def _region(session: Session, from_address: str) -> str | None:
    """Where the sender is verified as far as we know, otherwise the first account's."""
    address = parseaddr(from_address)[1].lower()
    known = (
        select(Account.region)
        .join(Tenant, Tenant.account_id == Account.id)
        .join(Identity, Identity.tenant_id == Tenant.id)
        .where(Identity.name.in_([address, address.rpartition("@")[2]]), Identity.verified_for_sending)
    )
    first = select(Account.region).order_by(Account.id).limit(1)
    return session.scalar(known.limit(1)) or session.scalar(first)


def _failed(what: str) -> ProviderError:
    return ProviderError(f"{what}.", permanent=False)
