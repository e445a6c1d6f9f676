"""SES bulk call: SendBulkEmail's request over a boto3 client's connections, without the client.

botocore walks SES's model for every field of every recipient and makes its user agent anew: most of what a
call costs. Signature, time-outs, proxies, certificates and errors are botocore's own here, too.
Facts: API reference v2, SendBulkEmail (POST /v2/email/outbound-bulk-emails).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError, CredentialRetrievalError, NoCredentialsError
from botocore.parsers import create_parser

_OPERATION = "SendBulkEmail"


class BulkCalls:
    """Safe for threads. `client`: of sesv2. `credentials`: asked for each request; that renews them."""

    def __init__(self, client: Any, credentials: Callable[[], Any]) -> None:
        meta = client.meta
        operation = meta.service_model.operation_model(_OPERATION)
        self._credentials = credentials
        self._method = operation.http["method"]
        self._url = meta.endpoint_url.rstrip("/") + operation.http["requestUri"]
        self._answer_shape = operation.output_shape
        self._parser = create_parser(meta.service_model.resolved_protocol)
        self._signing_name, self._region = meta.service_model.signing_name, meta.region_name
        self._headers = {"Content-Type": "application/json", "User-Agent": meta.config.user_agent}
        # Not public, but the only way to its time-outs, proxies, certificates and open connections.
        self._connections = client._endpoint.http_session

    def send(self, body: bytes) -> dict[str, Any]:
        """One request with this JSON. Raises ClientError and botocore's other errors as the client would, and
        ValueError of an answer that is no JSON."""
        request = AWSRequest(self._method, self._url, headers=self._headers, data=body)
        SigV4Auth(self._keys(), self._signing_name, self._region).add_auth(request)
        answer = self._connections.send(request.prepare())
        if answer.status_code >= 300:
            raise ClientError(self._refusal(answer), _OPERATION)
        return dict(orjson.loads(answer.content))

    def _keys(self) -> Any:
        credentials = self._credentials()
        if credentials is None:
            raise NoCredentialsError
        try:
            return credentials.get_frozen_credentials()
        except RuntimeError as e:  # botocore's word for new keys that are over, too
            raise CredentialRetrievalError(provider=credentials.method, error_msg=str(e)) from e

    def _refusal(self, answer: Any) -> Any:
        told = {"status_code": answer.status_code, "headers": answer.headers, "body": answer.content}
        return self._parser.parse(told, self._answer_shape)
