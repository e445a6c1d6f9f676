"""AWS errors: the one place where what botocore raises becomes an error or an outcome of ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoAuthTokenError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSLError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError

from core.errors import ProviderError, Throttled
from core.providers.base import EntryResult, Outcome

# Everything a call can end with; ResponseParserError is not among botocore's own.
CALL_FAILED = (ClientError, BotoCoreError, ResponseParserError)
# botocore's parsers trust the shape of an answer; one that lies must cost no mail either.
SEND_FAILED = (*CALL_FAILED, AttributeError, TypeError, LookupError, ValueError)

NO_CREDENTIALS = (
    "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or a profile, "
    "or run `postyard up` to use the simulator."
)

_WITHOUT_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    NoAuthTokenError,
    ProfileNotFound,
    TokenRetrievalError,
)
_NOT_CONNECTED = (ConnectTimeoutError, EndpointConnectionError, ProxyConnectionError)
_THROTTLING_CODES = {
    "LimitExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_CREDENTIAL_CODES = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "NotAuthorized",
    "OptInRequired",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_ACCESS_CODES = {"AccessDenied", "AccessDeniedException", "NotAuthorized"}
# Old or partial services do not know every operation.
_UNKNOWN_OPERATION_CODES = {"InvalidAction", "UnknownOperationException"}
# Sending waits for a person or for SES; an absent configuration set or tenant can be repaired: it waits too.
_PAUSING_CODES = {"AccountSuspendedException", "NotFoundException", "SendingPausedException"}
_REFUSING_CODES = {
    "BadRequestException",
    "InvalidParameterValue",
    "MailFromDomainNotVerifiedException",
    "MessageRejected",
    "ValidationException",
}


@contextmanager
def translated(service: str) -> Iterator[None]:
    """Calls made inside raise ProviderError or Throttled instead of botocore's errors."""
    try:
        yield
    except CALL_FAILED as e:
        raise provider_error(e, service) from e
    except ValueError as e:  # botocore of an AWS_ENDPOINT_URL that is no address
        raise ProviderError(f"{service} cannot be asked: {e}. Check AWS_ENDPOINT_URL.", permanent=True) from e


def provider_error(error: Exception, service: str) -> ProviderError:
    if isinstance(error, ClientError):
        return _refusal(error, service)
    if isinstance(error, _WITHOUT_CREDENTIALS):
        return ProviderError(NO_CREDENTIALS, permanent=True, code="NoCredentials")
    if isinstance(error, AwsConnectionError | HTTPClientError):
        return ProviderError(
            f"{service} does not answer{_at(error)}. Is AWS_ENDPOINT_URL right, and is there a network?",
            permanent=False,
            code=type(error).__name__,
            accepted=False if isinstance(error, _NOT_CONNECTED) else None,
        )
    return ProviderError(
        f"{service} gave an answer that cannot be read ({type(error).__name__}). "
        "Check that AWS_ENDPOINT_URL points at AWS or the simulator.",
        permanent=False,
        code=type(error).__name__,
        accepted=None,
    )


def entry_result(error: Exception) -> EntryResult:
    """What a send call's failure means for each of its entries; UNKNOWN whenever SES may have taken them."""
    if isinstance(error, ClientError):
        return _refused_entry(error)
    said = str(provider_error(error, "SES"))
    code = type(error).__name__
    if isinstance(error, _WITHOUT_CREDENTIALS):
        return EntryResult(Outcome.CREDENTIALS, code=code, reason=said)
    if isinstance(error, _NOT_CONNECTED) or _is_untrusted_certificate(error):
        return EntryResult(Outcome.NOT_SENT, code=code, reason=said)
    return EntryResult(
        Outcome.UNKNOWN, code=code, reason=f"SES's answer was lost ({code}); its events will tell."
    )


def error_code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def may_not_call(error: ClientError) -> bool:
    """The credentials may not do this one operation, or the service does not know it."""
    return error_code(error) in _ACCESS_CODES | _UNKNOWN_OPERATION_CODES


def _refused_entry(error: ClientError) -> EntryResult:
    code, message = error_code(error), _message(error)
    outcome = _outcome(code, message.lower(), _http_status(error))
    return EntryResult(
        outcome,
        code=code,
        reason=f"SES refused: {message or code}",
        account_wide=outcome is Outcome.PAUSED and is_account_wide(code, message),
    )


def is_account_wide(code: str, message: str) -> bool:
    """Whether a pause holds for every tenant of the AWS account; in doubt only for the one asked about."""
    return code.startswith(("AccountSuspended", "ACCOUNT_")) or (
        "account" in message.lower() and "tenant" not in message.lower()
    )


def _outcome(code: str, message: str, status: int) -> Outcome:
    if status >= 500:
        return Outcome.UNKNOWN
    if "daily message quota" in message:
        return Outcome.QUOTA
    if code in _THROTTLING_CODES or status == 429:
        return Outcome.THROTTLED
    if code in _PAUSING_CODES or _says_paused(message):
        return Outcome.PAUSED
    if code in _CREDENTIAL_CODES or status in (401, 403):
        return Outcome.CREDENTIALS
    return Outcome.REFUSED if code in _REFUSING_CODES else Outcome.UNKNOWN


def _says_paused(message: str) -> bool:
    # "Sending paused for this account" also comes as MessageRejected. A tenant that lost its association is
    # repaired by a person: its mail waits for that instead of failing.
    return "sending paused" in message or "is paused" in message or "tenant not associated" in message


def _refusal(error: ClientError, service: str) -> ProviderError:
    code, message, operation = error_code(error), _message(error), error.operation_name
    status = _http_status(error)
    if code in _THROTTLING_CODES - {"LimitExceededException"} or status == 429:
        return Throttled(
            f"{service} asks to go slower ({message or code}). Try again in a moment.", code=code
        )
    if status >= 500:
        return ProviderError(
            f"{service} has a fault of its own ({code}). Try again in a minute.",
            permanent=False,
            code=code,
            accepted=None,
        )
    return ProviderError(_refusal_text(service, operation, code, message), permanent=True, code=code)


def _refusal_text(service: str, operation: str, code: str, message: str) -> str:
    if code in _ACCESS_CODES and "tenant not associated" not in message.lower():
        return f"AWS does not let these credentials do {operation}. Add it to their IAM policy. ({message})"
    if code in _CREDENTIAL_CODES:
        return f"AWS refused the credentials ({code}). Renew the access key or the profile, then try again."
    return f"{service} refused {operation}: {(message or code).rstrip('.')}."


def _message(error: ClientError) -> str:
    said = error.response.get("Error", {})
    return str(said.get("Message") or said.get("message") or "")[:500]


def _http_status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _at(error: Exception) -> str:
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url", "")))
    if not url.hostname:
        return ""
    return f" at {url.scheme}://{url.hostname}" + (f":{url.port}" if url.port else "")


def _is_untrusted_certificate(error: Exception) -> bool:
    """The handshake failed on the certificate: no byte of the request was sent."""
    cause: Any = getattr(error, "kwargs", {}).get("error")
    inner = cause.args[0] if isinstance(error, SSLError) and cause is not None and cause.args else None
    return isinstance(inner, ssl.SSLCertVerificationError)
