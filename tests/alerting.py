"""Who hears of alerts in tests: an HTTPS server and an SMTP server on this host, and a clock of one's own.

The HTTPS server answers for hooks.acme-mail.io with a certificate of a CA made here; only a Dialler that a
test makes knows where it is, trusts it, and may dial this host.
"""

from __future__ import annotations

import datetime as dates
import functools
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from core.notices import Dialler

HOST = "hooks.acme-mail.io"
SECRET = "/services/T024BE7LH/B024BE7LH/7Hx9SecretOfTheChannel"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class HandClock:
    """Moved by hand."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - START).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.pass_(seconds=seconds)

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class Hook:
    """What the webhook got, and what it answers; while `dripping`, byte by byte without an end."""

    port: int = 0
    status: int = 200
    said: bytes = b"ok"
    headers: dict[str, str] = field(default_factory=dict)
    got: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    dripping: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}{SECRET}"

    @property
    def texts(self) -> list[str]:
        return [str(body["text"]) for body in self.got]

    def dialler(self, **changed: Any) -> Dialler:
        usual: dict[str, Any] = {
            "addresses_of": lambda host: ["127.0.0.1"],
            "may_dial": lambda address: address == "127.0.0.1",
            "context": functools.partial(ssl.create_default_context, cafile=str(certificates()[0])),
        }
        return Dialler(**(usual | changed))


@contextmanager
def webhook(name: str = HOST) -> Iterator[Hook]:
    hook = Hook()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.paths.append(self.path)
            hook.hosts.append(self.headers["Host"])
            hook.got.append(json.loads(body))
            if hook.dripping.is_set():
                self._drip()
                return
            self.send_response(hook.status)
            for header, value in hook.headers.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(hook.said)

        def _drip(self) -> None:
            try:
                while hook.dripping.is_set():
                    self.wfile.write(b"H")
                    threading.Event().wait(0.02)
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            return

    with _serving(Answer, name) as port:
        hook.port = port
        yield hook
        hook.dripping.clear()


@contextmanager
def _serving(answer: type[BaseHTTPRequestHandler], name: str) -> Iterator[int]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            return  # a caller who hangs up in the midst of a handshake

    server = Server(("127.0.0.1", 0), answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _, certificate, key = certificates(name)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@functools.cache
def certificates(name: str = HOST) -> tuple[Path, Path, Path]:
    """CA, certificate for the name, its key."""
    folder = Path(_folder().name)
    ca_key, ca = _ca()
    key = ec.generate_private_key(ec.SECP256R1())
    alternative = x509.SubjectAlternativeName([x509.DNSName(name)])
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        _builder(name, ca.subject, key).add_extension(alternative, False).add_extension(authority, False)
    )
    paths = folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(ca.public_bytes(Encoding.PEM))
    paths[1].write_bytes(certificate.sign(ca_key, SHA256()).public_bytes(Encoding.PEM))
    paths[2].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


@functools.cache
def _folder() -> TemporaryDirectory[str]:
    return TemporaryDirectory()


@functools.cache
def _ca() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tests")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = _builder("Tests", name, key).add_extension(x509.BasicConstraints(True, 0), True)
    return key, builder.add_extension(usage, True).add_extension(identifier, False).sign(key, SHA256())


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dates.datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
    )


@dataclass
class Mailbox:
    """What the SMTP server got. `refuses`: a verb (RCPT, AUTH, DATA) and what it answers to it."""

    port: int = 0
    mails: list[str] = field(default_factory=list)
    verbs: list[str] = field(default_factory=list)
    refuses: dict[str, str] = field(default_factory=dict)


@contextmanager
def smtp_server() -> Iterator[Mailbox]:
    """Takes AUTH PLAIN; no TLS: only somebody on this host may use it so."""
    mailbox = Mailbox()
    server = socket.create_server(("127.0.0.1", 0))
    mailbox.port = server.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError), connection.makefile("rwb") as lines:
                _talk(lines, mailbox)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield mailbox
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(5)


def _talk(lines: Any, mailbox: Mailbox) -> None:
    def say(answer: str) -> None:
        lines.write(answer.encode() + b"\r\n")
        lines.flush()

    say("220 mail.acme-mail.io")
    for line in lines:
        verb = line.decode("utf-8", "replace").split(" ")[0].strip().upper()
        mailbox.verbs.append(verb)
        if verb in mailbox.refuses:
            say(mailbox.refuses[verb])
        elif verb == "EHLO":
            say("250-mail.acme-mail.io\r\n250 AUTH PLAIN")
        elif verb == "AUTH":
            say("235 welcome")
        elif verb == "DATA":
            say("354 go on")
            mailbox.mails.append("".join(iter(lambda: lines.readline().decode(), ".\r\n")))
            say("250 taken")
        elif verb == "QUIT":
            say("221 bye")
            return
        else:
            say("250 ok")
