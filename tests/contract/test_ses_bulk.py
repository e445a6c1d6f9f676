"""SES's bulk call, made without botocore's client: the same request as the client makes, rightly signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError, NoCredentialsError

from core.providers.ses_bulk import BulkCalls
from core.providers.ses_mail import bulk_request
from tests.contract.ses_mail import REGION, mail
from tests.contract.wire import Wire

REQUEST = bulk_request(mail(2, reply_to="Zoë <ann@acme-mail.io>"))


def client_of(wire: Wire) -> Any:
    return boto3.client(
        "sesv2",
        region_name=REGION,
        endpoint_url=wire.url,
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="hush-hush",
        aws_session_token="one-hour",
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_it_is_the_request_that_the_client_makes(wire: Wire) -> None:
    client = client_of(wire)
    client.send_bulk_email(**REQUEST)
    BulkCalls(client, lambda: Credentials("AKIDEXAMPLE", "hush-hush", "one-hour")).send(
        json.dumps(REQUEST).encode()
    )
    theirs, ours = wire.requests
    assert ours == theirs
    for name in ("host", "content-type", "x-amz-security-token", "content-length"):
        assert wire.headers[1].get(name), name
    assert wire.headers[1]["host"] == wire.headers[0]["host"]
    scopes = [headers["authorization"].split(", ")[0] for headers in wire.headers]
    assert scopes[0] == scopes[1]  # key, day, region, service


def test_its_signature_is_of_what_arrives(wire: Wire) -> None:
    body = json.dumps(REQUEST).encode()
    credentials = Credentials("AKIDEXAMPLE", "hush-hush", "one-hour")
    BulkCalls(client_of(wire), lambda: credentials).send(body)
    [headers], [(method, path, _)] = wire.headers, wire.requests
    signed = headers["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
    arrived = AWSRequest(
        method, f"http://{headers['host']}{path}", headers={name: headers[name] for name in signed}, data=body
    )
    arrived.context["timestamp"] = headers["x-amz-date"]
    signer = SigV4Auth(credentials, "ses", REGION)
    right = signer.signature(signer.string_to_sign(arrived, signer.canonical_request(arrived)), arrived)
    assert headers["authorization"].endswith(f"Signature={right}")
    assert {"host", "x-amz-date", "x-amz-security-token"} <= set(signed)


def test_keys_that_run_out_are_renewed_between_calls(wire: Wire) -> None:
    given = iter("AB")

    def renewed() -> dict[str, str]:
        return {
            "access_key": f"AKID{next(given)}",
            "secret_key": "hush-hush",
            "token": "t",
            "expiry_time": "2020-01-01T00:00:00Z" if len(wire.headers) == 0 else "2999-01-01T00:00:00Z",
        }

    soon_over = RefreshableCredentials(
        "AKID", "s", "t", datetime(2020, 1, 1, tzinfo=UTC), renewed, "test", advisory_timeout=0
    )
    calls = BulkCalls(client_of(wire), lambda: soon_over)
    with pytest.raises(CredentialRetrievalError, match="expired"):  # what it was given is over, too
        calls.send(b"{}")
    assert wire.headers == []
    wire.headers.append({})
    calls.send(b"{}")
    assert "Credential=AKIDB/" in wire.headers[-1]["authorization"]


def test_without_keys_nobody_is_asked(wire: Wire) -> None:
    with pytest.raises(NoCredentialsError):
        BulkCalls(client_of(wire), lambda: None).send(b"{}")
    assert wire.requests == []
