"""Alerts as mail: through SES itself, or through an SMTP server that must encrypt."""

from __future__ import annotations

import email
import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from email.policy import default
from typing import Any

import pytest
from pydantic import SecretStr

from core.app import App
from core.errors import ConfigurationError, ProviderError
from core.notices import mail
from core.settings import Settings
from tests.alerting import Mailbox, smtp_server
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
PASSWORD = "canary p@ss/word"
WRITTEN = "canary%20p%40ss%2Fword"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with smtp_server() as served:
        yield served


@contextmanager
def dripping_server() -> Iterator[int]:
    """Begins an answer, which may be one of TLS, and sends the rest of it byte by byte."""
    ended = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x16\x03\x03\x3f\xff")
                while not ended.wait(0.02):
                    connection.sendall(b"\x02")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with server:
        yield server.getsockname()[1]
        ended.set()
        thread.join(5)


def told(app: App, **changed: Any) -> App:
    given = {"alert_from": "Postyard <alerts@acme-mail.io>"} | changed
    return replace(app, settings=app.settings.model_copy(update=given))


def by_smtp(app: App, url: str) -> App:
    return told(app, smtp_url=SecretStr(url))


def send(app: App) -> None:
    mail.send(
        app, "ann@example.com", "[Postyard] Ünïcode\r\nBcc: x@example.com", "One.\n.\nTwo.", key="alert-1"
    )


def refusal(app: App) -> str:
    with pytest.raises(ProviderError) as failed:
        send(app)
    assert "canary" not in f"{failed.value} {failed.value.__cause__} {failed.value.__context__!r}"
    return str(failed.value)


@SQLITE
def test_ses_sends_it_for_the_account_without_a_tenant(app: App, cast: Cast, simulator: Simulator) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    send(told(app))
    [sent] = simulator.messages(to="ann@example.com")
    assert sent["subject"] == r"[Postyard] Ünïcode\r\nBcc: x@example.com"
    assert sent["from"] == "Postyard <alerts@acme-mail.io>"
    assert not sent["tenant"]


@SQLITE
def test_what_ses_refuses_is_told(app: App, cast: Cast, simulator: Simulator) -> None:
    assert "not verified" in refusal(told(app))
    assert "POSTYARD_ALERT_FROM" in refusal(told(app, alert_from=""))


@SQLITE
def test_an_smtp_server_of_this_host_gets_it_with_user_and_password(app: App, mailbox: Mailbox) -> None:
    send(by_smtp(app, f"smtp://postyard:{WRITTEN}@127.0.0.1:{mailbox.port}"))
    [raw] = mailbox.mails
    got = email.message_from_string(raw, policy=default)
    assert got["Subject"] == r"[Postyard] Ünïcode\r\nBcc: x@example.com"
    assert got["Bcc"] is None
    assert (got["From"], got["To"]) == ("Postyard <alerts@acme-mail.io>", "ann@example.com")
    assert (got["Message-ID"], got["Auto-Submitted"]) == ("<alert-1@acme-mail.io>", "auto-generated")
    assert got.get_content_type() == "text/plain"
    assert got.get_content().splitlines() == ["One.", "..", "Two."], "a dot is doubled on the wire"
    assert "AUTH" in mailbox.verbs


@pytest.mark.parametrize(
    ("verb", "answer", "sentence"),
    [
        ("AUTH", f"535 {PASSWORD} is wrong", "refused the user name or the password (535)"),
        ("RCPT", "550 5.1.1 no such user\x1b[2J", r"550 5.1.1 no such user\x1b[2J"),
        ("DATA", "451 later", "451 later"),
        ("EHLO", "500 what?", "does not offer"),
    ],
)
@SQLITE
def test_what_the_server_refuses_is_told_without_the_password(
    app: App, mailbox: Mailbox, caplog: pytest.LogCaptureFixture, verb: str, answer: str, sentence: str
) -> None:
    caplog.set_level(logging.DEBUG)
    mailbox.refuses[verb] = answer
    assert sentence in refusal(by_smtp(app, f"smtp://postyard:{WRITTEN}@127.0.0.1:{mailbox.port}"))
    assert "canary" not in caplog.text


@SQLITE
def test_a_server_elsewhere_that_offers_no_encryption_gets_nothing(app: App, mailbox: Mailbox) -> None:
    """0.0.0.0 is this host as well, and not its loopback: it stands for a server elsewhere."""
    elsewhere = mail.MailServer("0.0.0.0", mailbox.port, is_tls=False, user="postyard", password=PASSWORD)
    with pytest.raises(ProviderError, match="does not offer STARTTLS"):
        mail._by_smtp(elsewhere, email.message.EmailMessage())
    assert mailbox.verbs == ["EHLO"]
    assert PASSWORD not in repr(elsewhere)
    assert "does not answer" in refusal(by_smtp(app, f"smtps://a:{WRITTEN}@127.0.0.1:{mailbox.port}"))


@SQLITE
def test_what_was_taken_is_not_sent_again_for_an_odd_good_bye(app: App, mailbox: Mailbox) -> None:
    mailbox.refuses["QUIT"] = "421 too many connections"
    send(by_smtp(app, f"smtp://127.0.0.1:{mailbox.port}"))
    assert len(mailbox.mails) == 1


@SQLITE
def test_a_password_that_cannot_be_sent_is_told_and_stands_nowhere(app: App, mailbox: Mailbox) -> None:
    said = refusal(by_smtp(app, f"smtp://postyard:canary%C3%A4@127.0.0.1:{mailbox.port}"))
    assert "has signs other than ASCII" in said
    assert not mailbox.verbs


@SQLITE
def test_a_name_that_no_host_can_have_is_told(app: App) -> None:
    assert "does not answer" in refusal(by_smtp(app, "smtp://mail..acme-mail.io"))


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
@SQLITE
def test_a_server_that_drips_ends_in_time(app: App, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr(mail, "ALL_SECONDS", 0.4)
    with dripping_server() as port:
        begun = time.monotonic()
        assert "did not take the mail within" in refusal(by_smtp(app, f"{scheme}://127.0.0.1:{port}"))
    assert time.monotonic() - begun < 4


@SQLITE
def test_a_server_that_is_not_there_is_told(app: App) -> None:
    with smtp_server() as gone:
        port = gone.port
    assert "does not answer (ConnectionRefusedError)" in refusal(by_smtp(app, f"smtp://127.0.0.1:{port}"))


def test_an_address_of_a_mail_server_says_who_and_where() -> None:
    server = mail.server(f"smtp://postyard:{WRITTEN}@mail.acme-mail.io")
    assert (server.host, server.port, server.is_tls, server.password) == (
        "mail.acme-mail.io", 587, False, PASSWORD,
    )  # fmt: skip
    assert not server.is_here
    assert mail.server("smtps://mail.acme-mail.io").port == 465
    assert mail.server("smtp://localhost").is_here


@pytest.mark.parametrize(
    "given",
    [
        {"smtp_url": f"smtp://a:{WRITTEN}@mail.acme-mail.io"},
        {"smtp_url": f"http://a:{WRITTEN}@mail.acme-mail.io", "alert_from": "a@acme-mail.io"},
        {"smtp_url": f"smtp://a:{WRITTEN}@", "alert_from": "a@acme-mail.io"},
        {"smtp_url": f"smtp://a:{WRITTEN}@mail.acme-mail.io:99999", "alert_from": "a@acme-mail.io"},
        {"alert_from": "nobody"},
        {"alert_from": "a@acme-mail.io\r\nBcc: x@example.com"},
    ],
)
def test_settings_that_cannot_work_are_told_at_the_start(given: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.load(**given)
    assert "POSTYARD_" in str(refused.value)
    assert "canary" not in str(refused.value)
