"""What somebody can be given is bounded, for all of it is read and searched by at each of their calls."""

import pytest

from modelkeep.access import assignments, people, roles
from modelkeep.access.administrator import administrator
from modelkeep.access.grants import store
from modelkeep.core.errors import Conflict
from modelkeep.core.types import DEFAULT_WORKSPACE, SYSTEM
from modelkeep.db import Database, Tx

MOST = 2000


def test_nobody_is_given_without_end(registry: Database) -> None:
    """Two thousand roles in a workspace are the most that one person is given there, in others they are given more."""

    def give(tx: Tx, workspace: str, number: int) -> None:
        new = assignments.NewAssignment("user/ann", "viewer", workspace, "model", f"m{number}-*")
        assignments.assign(tx, new)

    def fill(tx: Tx) -> None:
        administrator(tx)
        people.make_user(tx, "ann")
        give(tx, DEFAULT_WORKSPACE, 0)
        (row,) = assignments.page_of_assignments(tx, DEFAULT_WORKSPACE, "", 0, 0, 10)
        values = {name: value for name, value in row._asdict().items() if name not in ("id", "role", "built_in")}
        for number in range(1, MOST):
            store.insert_assignment(tx, values | {"pattern": f"m{number}-*"})

    registry.write_now(SYSTEM, fill)
    with pytest.raises(Conflict, match="2000"):
        registry.write_now(SYSTEM, lambda tx: give(tx, DEFAULT_WORKSPACE, MOST))
    registry.write_now(SYSTEM, lambda tx: give(tx, "*", MOST))


def test_a_role_does_not_grow_without_end(registry: Database) -> None:
    """Two thousand permissions are the most that a role has; one less, and there is room for another."""

    def fill(tx: Tx) -> int:
        administrator(tx)
        role = roles.make_role(tx, "wide")
        values = {"role_id": role.id, "verbs": '["read"]', "effect": "allow", "kind": "model", "aliases": "*"}
        for number in range(MOST - 1):
            store.insert_permission(tx, values | {"pattern": f"m{number}-*"})
        return int(role.id)

    role_id, more = registry.write_now(SYSTEM, fill), roles.NewPermission(["read"], "model", "more-*")
    registry.write_now(SYSTEM, lambda tx: roles.add_permission(tx, role_id, more))
    with pytest.raises(Conflict, match="2000"):
        registry.write_now(SYSTEM, lambda tx: roles.add_permission(tx, role_id, more))
