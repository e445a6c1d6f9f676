"""Users: creating and changing them, and their passwords."""

from __future__ import annotations

import pytest

from core import users
from core.access import Actor, Role
from core.app import App
from core.db.models import User
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.users import passwords
from tests.integration.users.conftest import PASSWORD, REAL_COST, WRONG, audited, fail, signed_in

# creating


def test_a_created_user_gets_a_password_that_must_be_changed(app: App, root: Actor) -> None:
    user, made = users.create(app, root, username=" Dora ", name="Dora", role=Role.ANALYST)
    assert user.username == "dora"
    assert made is not None
    assert len(made) >= 16
    assert user.must_change_password
    assert made not in user.password_hash
    found = users.check_password(app, "DORA", made, None)
    assert found is not None
    assert found.id == user.id
    assert ("create user", "dora") in audited(app, root)


def test_a_password_is_kept_as_a_hash_that_takes_long_to_guess(real_cost: None) -> None:
    assert REAL_COST >= 12
    assert passwords.accept(PASSWORD, "dora").startswith(f"$2b${REAL_COST}$")


def test_only_administrators_create_users(app: App, alice: Actor) -> None:
    with pytest.raises(PermissionDenied):
        users.create(app, alice, username="dora", name="Dora", role=Role.ADMIN)
    assert not users.has_users(app)


def test_a_second_user_of_the_same_name_is_refused(app: App, root: Actor, dora: User) -> None:
    with pytest.raises(Conflict, match="already"):
        users.create(app, root, username="Dora", name="Another", role=Role.ANALYST)
    assert [user.name for user in users.list_users(app, root)] == ["Dora Dahl"]


@pytest.mark.parametrize("username", ["", "a", "-dora", "do ra", "dora@example.com", "d" * 65, "dörä"])
def test_usernames_that_cannot_be_typed_are_refused(app: App, root: Actor, username: str) -> None:
    with pytest.raises(InputError):
        users.create(app, root, username=username, name="Dora", role=Role.ANALYST)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "x" * 73,
        "é" * 37,
        " leading space here",
        "dora and her dog",
        "aaaaaaaaaaaaaaaa",
    ],
)
def test_weak_and_over_long_passwords_are_refused_without_being_repeated(
    app: App, root: Actor, password: str
) -> None:
    with pytest.raises(InputError) as refused:
        users.create(app, root, username="dora", name="Dora", role=Role.ANALYST, password=password)
    assert password not in str(refused.value)


def test_an_account_manager_sees_the_tenants_assigned(app: App, root: Actor, tenants: dict[str, int]) -> None:
    user, _ = users.create(
        app, root, username="emil", name="Emil", role=Role.ACCOUNT_MANAGER, password=PASSWORD,
        tenant_slugs=("acme",),
    )  # fmt: skip
    actor = users.actor_of(app, signed_in(app, user))
    assert actor is not None
    assert actor.tenant_ids == {tenants["acme"]}
    assert users.standings(app, root)[user.id].tenant_slugs == ("acme",)


def test_an_unknown_tenant_leaves_no_half_made_user(app: App, root: Actor, tenants: dict[str, int]) -> None:
    with pytest.raises(NotFound, match="'initech'"):
        users.create(
            app, root, username="emil", name="Emil", role=Role.ANALYST, tenant_slugs=("acme", "initech")
        )
    assert users.list_users(app, root) == []


def test_a_role_that_sees_everything_is_assigned_nothing(
    app: App, root: Actor, tenants: dict[str, int]
) -> None:
    with pytest.raises(InputError):
        users.create(app, root, username="emil", name="Emil", role=Role.OPERATOR, tenant_slugs=("acme",))


# changing


def test_a_change_of_role_and_tenants_acts_on_the_open_session(
    app: App, root: Actor, dora: User, tenants: dict[str, int]
) -> None:
    token = signed_in(app, dora)
    before = users.actor_of(app, token)
    assert before is not None
    assert before.tenant_ids is None
    users.assign(app, root, "dora", role=Role.ANALYST, tenant_slugs=("globex",))
    after = users.actor_of(app, token)
    assert after is not None
    assert (after.role, after.tenant_ids) == (Role.ANALYST, {tenants["globex"]})


def test_disabling_ends_every_session_and_twice_is_once(app: App, root: Actor, dora: User) -> None:
    tokens = [signed_in(app, dora), signed_in(app, dora)]
    users.disable(app, root, "dora")
    users.disable(app, root, "dora")
    assert [users.find_sign_in(app, token) for token in tokens] == [None, None]
    assert users.check_password(app, "dora", PASSWORD, None) is None
    assert audited(app, root).count(("disable user", "dora")) == 1
    users.enable(app, root, "dora")
    assert users.check_password(app, "dora", PASSWORD, None) is not None
    assert users.find_sign_in(app, tokens[0]) is None


def test_nobody_disables_themselves_or_the_last_administrator(app: App, root: Actor) -> None:
    users.create(app, root, username="ada", name="Ada", role=Role.ADMIN, password=PASSWORD)
    with pytest.raises(Conflict, match="last administrator"):
        users.disable(app, root, "ada")
    with pytest.raises(Conflict, match="last administrator"):
        users.assign(app, root, "ada", role=Role.ANALYST)
    users.create(app, root, username="root", name="Root", role=Role.ADMIN, password=PASSWORD)
    with pytest.raises(Conflict, match="yourself"):
        users.disable(app, root, "root")
    users.disable(app, root, "ada")


@pytest.mark.parametrize("use_case", [users.disable, users.enable, users.reset_password, users.revoke_all])
def test_other_roles_and_unknown_names_are_refused(app: App, root: Actor, alice: Actor, use_case) -> None:
    with pytest.raises(PermissionDenied):
        use_case(app, alice, "dora")
    with pytest.raises(NotFound, match="no user 'nobody'"):
        use_case(app, root, "nobody")


def test_a_reset_password_works_once_asks_for_another_and_ends_sessions(
    app: App, root: Actor, dora: User
) -> None:
    token = signed_in(app, dora)
    fail(app, "dora", 5)
    made = users.reset_password(app, root, "dora")
    assert users.find_sign_in(app, token) is None
    assert users.check_password(app, "dora", PASSWORD, None) is None
    user = users.check_password(app, "dora", made, None)
    assert user is not None
    assert user.must_change_password


def test_somebody_who_must_change_the_password_is_signed_in_but_acts_as_nobody(app: App, root: Actor) -> None:
    user, made = users.create(app, root, username="dora", name="Dora", role=Role.ADMIN)
    token = signed_in(app, user)
    found = users.find_sign_in(app, token)
    assert found is not None
    assert found.must_change_password
    assert users.actor_of(app, token) is None
    users.change_password(app, found.actor, str(made), PASSWORD, session_token=token)
    assert users.actor_of(app, token) is not None


def test_changing_the_password_ends_the_other_sessions_only(app: App, root: Actor, dora: User) -> None:
    here, elsewhere = signed_in(app, dora), signed_in(app, dora)
    actor = users.actor_of(app, here)
    assert actor is not None
    with pytest.raises(InputError, match="present password"):
        users.change_password(app, actor, WRONG, "a wholly new password")
    with pytest.raises(InputError, match="differs"):
        users.change_password(app, actor, PASSWORD, PASSWORD)
    users.change_password(app, actor, PASSWORD, "a wholly new password", session_token=here)
    assert users.find_sign_in(app, here) is not None
    assert users.find_sign_in(app, elsewhere) is None
    assert users.check_password(app, "dora", PASSWORD, None) is None
    assert users.check_password(app, "dora", "a wholly new password", None) is not None


def test_guessing_the_present_password_from_an_open_session_locks_too(app: App, dora: User) -> None:
    actor = users.actor_of(app, signed_in(app, dora))
    assert actor is not None
    for _ in range(5):
        with pytest.raises(InputError):
            users.change_password(app, actor, WRONG, "a wholly new password")
    with pytest.raises(Conflict, match="Too many"):
        users.change_password(app, actor, PASSWORD, "a wholly new password")
