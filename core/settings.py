"""Settings: the only reader of the environment. AWS's own variables are read by boto3 itself."""

from __future__ import annotations

import base64
import os
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.errors import ConfigurationError

PREFIX = "POSTYARD_"
SHORTEST_KEY_BYTES = 16


class Settings(BaseSettings):
    """What an installation can be told, each as POSTYARD_<NAME>; NAME_FILE reads the value from a file."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: SecretStr = Field(
        SecretStr("sqlite:///var/postyard.db"),
        description="SQLAlchemy address of the database: sqlite:///FILE or postgresql+psycopg://…",
    )
    data_dir: Path = Field(Path("var"), description="Where files that belong to this installation are kept.")
    region: str = Field("ap-southeast-1", description="AWS region of a new account.")
    resource_prefix: str = Field(
        "postyard", pattern=r"^[a-z][a-z0-9-]{1,20}$", description="First word of every AWS resource's name."
    )
    dns_servers: str = Field(
        "",
        description="host:port, comma-separated: ask these instead of the domain's authoritative servers.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Signs unsubscribe links; 32 characters or more. Default: made once, in data_dir.",
    )
    public_url: str = Field(
        "", description="Where webhooks.py is reached from outside; links in mail point there."
    )
    console_url: str = Field(
        "", description="Where the console is reached; an https address makes cookies Secure."
    )
    session_idle_minutes: int = Field(60, ge=5, description="A sign-in ends after so long without a click.")
    session_hours: int = Field(12, ge=1, description="A sign-in ends after so long in any case.")
    resend_api_key: SecretStr | None = Field(
        None, description="Resend, the second way out, for tenants whose policy allows it; none: SES only."
    )
    resend_from: str = Field(
        "",
        validate_default=True,
        description="Address, of a domain verified at Resend, that such mail comes from.",
    )
    resend_url: str = Field("https://api.resend.com", description="Where Resend's API is.")
    resend_webhook_secret: SecretStr | None = Field(
        None,
        description="Signing secret (whsec_…) of Resend's webhook to /webhooks/resend; none: it is closed.",
    )
    metrics_token: SecretStr | None = Field(
        None, description="Opens /metrics to whoever sends it as bearer token; none: there is no /metrics."
    )
    resend_calls_per_second: float = Field(2.0, gt=0, description="Resend's limit for the whole team.")
    alert_from: str = Field(
        "",
        description="Address that alerts come from: of a domain verified at SES, or as the SMTP server "
        "allows.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        validate_default=True,
        description="smtp://USER:PASSWORD@HOST:587 or smtps://…: sends alerts; none: SES does.",
    )
    send_threads: int = Field(16, ge=1, le=64, description="Calls to SES in flight at once, per account.")
    ingest_threads: int = Field(4, ge=1, le=32, description="Threads that receive from SQS, per account.")
    log_level: str = Field("INFO", description="DEBUG, INFO, WARNING or ERROR.")
    control_calls_per_second: float = Field(
        1.0,
        gt=0,
        description="SES's limit for all calls but sending, per account and region; 1 unless AWS raised it.",
    )
    verify_every_hours: float = Field(4.0, gt=0, description="How often pending identities are checked.")

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("needs 32 characters or more; try: openssl rand -hex 32")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url.startswith(("postgres://", "postgresql://")):
            url = "postgresql+psycopg://" + url.split("://", 1)[1]
        if not url.startswith(("sqlite:///", "postgresql+psycopg://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        try:
            parts = make_url(url)
        except (ArgumentError, ValueError) as e:
            raise ValueError("is no address; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from e
        if url.startswith("sqlite") and parts.database in (None, "", ":memory:"):
            raise ValueError("names no file; write sqlite:///var/postyard.db or sqlite:////absolute/path.db")
        return SecretStr(url)

    @field_validator("resend_api_key")
    @classmethod
    def _fit_for_a_header(cls, value: SecretStr | None) -> SecretStr | None:
        key = "" if value is None else value.get_secret_value().strip()
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise ValueError("is no API key of Resend; copy it anew, it begins with re_")
        return SecretStr(key) if key else None

    @field_validator("resend_webhook_secret")
    @classmethod
    def _signing_secret(cls, value: SecretStr | None) -> SecretStr | None:
        written = "" if value is None else value.get_secret_value().strip()
        if not written:
            return None
        try:
            key = base64.b64decode(written.removeprefix("whsec_"), validate=True)
        except ValueError:
            key = b""
        if len(key) < SHORTEST_KEY_BYTES or not written.startswith("whsec_"):
            raise ValueError("is no signing secret; copy it anew from the webhook, it begins with whsec_")
        return SecretStr(written)

    @field_validator("metrics_token")
    @classmethod
    def _hard_to_guess(cls, value: SecretStr | None) -> SecretStr | None:
        token = "" if value is None else value.get_secret_value().strip()
        if token and (len(token) < 16 or not token.isascii() or not token.isprintable() or " " in token):
            raise ValueError("needs 16 characters or more, without spaces; try: openssl rand -hex 32")
        return SecretStr(token) if token else None

    @field_validator("resend_from")
    @classmethod
    def _address_if_key(cls, value: str, info: ValidationInfo) -> str:
        value = value.strip()
        if value and not _is_sender(value):
            raise ValueError("is no sender; write news@example.com or Name <news@example.com>")
        if "resend_api_key" not in info.data:  # it has a fault of its own
            return value
        if value and info.data["resend_api_key"] is None:
            raise ValueError(f"needs {PREFIX}RESEND_API_KEY as well; set both, or neither")
        if not value and info.data["resend_api_key"] is not None:
            raise ValueError(f"is needed with {PREFIX}RESEND_API_KEY: an address at a domain verified there")
        return value

    @field_validator("alert_from")
    @classmethod
    def _sender_or_none(cls, value: str) -> str:
        value = value.strip()
        if value and not _is_sender(value):
            raise ValueError("is no sender; write alerts@example.com or Name <alerts@example.com>")
        return value

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value().strip()
        if not url:
            return None
        if not _is_mail_server(url):
            raise ValueError(
                "is no mail server; write smtp://USER:PASSWORD@HOST:587, with signs like @ and / in the "
                "password as %40 and %2F"
            )
        if info.data.get("alert_from") == "":
            raise ValueError(f"needs {PREFIX}ALERT_FROM as well: the address that alerts come from")
        return SecretStr(url)

    @field_validator("resend_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is no web address; write https://api.resend.com")
        return value.rstrip("/")

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the environment. Raises ConfigurationError that lists every fault at once."""
        faults: list[str] = []
        values = {**_from_files(cls, faults), **overrides}
        faults += [
            f"{name} is not a setting of Postyard"
            for name in sorted(os.environ)
            if name.startswith(PREFIX)
            and name.removeprefix(PREFIX).removesuffix("_FILE").lower() not in cls.model_fields
        ]
        try:
            settings = cls(**values)
        except ValidationError as e:
            faults += [f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in e.errors()]
        if faults:
            raise ConfigurationError("Postyard cannot start: " + "; ".join(faults) + ".")
        return settings


def _from_files(cls: type[Settings], faults: list[str]) -> dict[str, str]:
    values = {}
    for name in cls.model_fields:
        variable = f"{PREFIX}{name.upper()}_FILE"
        if path := os.environ.get(variable):
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as e:
                faults.append(f"{variable}: cannot read {path} ({e.strerror})")
    return values


def _is_sender(written: str) -> bool:
    from email_validator import EmailNotValidError, validate_email  # for those who set it only

    if not written.isprintable():
        return False
    try:
        validate_email(parseaddr(written)[1], check_deliverability=False)
    except EmailNotValidError:
        return False
    return True


def _is_mail_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port
        return False
