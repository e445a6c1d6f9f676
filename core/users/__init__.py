"""Users: who may sign in, with what password, and who is signed in.

Order of a sign-in: `check_password` (lock-out first, then the password) -> `issue_ticket` ->
`redeem_ticket`, which opens a session -> `find_sign_in` on every run of every page.
"""

from core.users.people import (
    Standing,
    assign,
    change_password,
    create,
    disable,
    enable,
    has_users,
    list_users,
    reset_password,
    standings,
)
from core.users.sessions import (
    SignedIn,
    actor_of,
    check_password,
    find_sign_in,
    forget_ended,
    issue_ticket,
    redeem_ticket,
    revoke_all,
    sign_out,
)

__all__ = [
    "SignedIn",
    "Standing",
    "actor_of",
    "assign",
    "change_password",
    "check_password",
    "create",
    "disable",
    "enable",
    "find_sign_in",
    "forget_ended",
    "has_users",
    "issue_ticket",
    "list_users",
    "redeem_ticket",
    "reset_password",
    "revoke_all",
    "sign_out",
    "standings",
]
