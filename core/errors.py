"""Errors: everything Postyard raises on purpose.

PostyardError                 what a page or the command line shows as one sentence
├── InputError                something typed or uploaded cannot be used; `field` names it
├── NotFound                  it does not exist, or it is another tenant's: never told apart
├── PermissionDenied          the actor's role may not do this
├── Conflict                  somebody or something was first; look again and decide
│   └── TooSoon               the same was done a moment ago; says how long to wait
├── SendingPaused             the tenant or campaign may not send now
└── ProviderError             SES (or another provider) refused or did not answer
    └── Throttled             too fast; nothing was accepted
ConfigurationError            the installation is wrong: stops a process at its start
"""

from __future__ import annotations


class PostyardError(Exception):
    """A fault a person can do something about; its text is the sentence they read."""


class InputError(PostyardError):
    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class NotFound(PostyardError):
    pass


class PermissionDenied(PostyardError):
    pass


class Conflict(PostyardError):
    pass


class TooSoon(Conflict):
    pass


class SendingPaused(PostyardError):
    pass


class ProviderError(PostyardError):
    """`permanent`: the same call will fail again. `accepted`: False when the provider certainly did not
    take the message, None when nobody can know (time-out, reset, 5xx): such a message is never re-sent."""

    def __init__(
        self, message: str, *, permanent: bool, code: str = "", accepted: bool | None = False
    ) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.code = code
        self.accepted = accepted


class Throttled(ProviderError):
    def __init__(self, message: str, *, code: str = "", retry_after_seconds: float = 1.0) -> None:
        super().__init__(message, permanent=False, code=code, accepted=False)
        self.retry_after_seconds = retry_after_seconds


class ConfigurationError(Exception):
    """Deliberately no PostyardError: a page must not swallow it."""
