"""SQL of roles and of who holds them."""

from typing import Any

from sqlalchemy import Table, Text, bindparam, delete, insert, or_, select, update

from modelkeep.access.tables import assignments, group_members, groups, role_permissions, roles, users
from modelkeep.db import Prepared, Tx
from modelkeep.db.dialect import insert_unless_taken, integer, one_of_integers, one_of_texts, upsert


def _binds(table: Table) -> dict[str, Any]:
    """A value for each column that the database does not give itself."""
    return {column.name: bindparam(column.name) for column in table.c if column.name != "id"}


_GROUPS_OF = Prepared(
    select(groups.c.id, groups.c.name)
    .distinct()
    .join(group_members, group_members.c.group_id == groups.c.id)
    .where(group_members.c.user_id == bindparam("user_id"))
)
_GROUP = Prepared(select(groups).where(groups.c.id == bindparam("id")))
_MEMBERS = Prepared(select(group_members.c.user_id).distinct().where(group_members.c.group_id == bindparam("group_id")))
_now = bindparam("now", type_=integer())
_HELD = Prepared(
    select(
        assignments.c.id.label("assignment"),
        assignments.c.principal,
        assignments.c.effect,
        assignments.c.workspace,
        assignments.c.kind,
        assignments.c.pattern,
        roles.c.id.label("role_id"),
        roles.c.name.label("role"),
        roles.c.built_in,
        role_permissions.c.effect.label("own_effect"),
        role_permissions.c.verbs,
        role_permissions.c.kind.label("own_kind"),
        role_permissions.c.pattern.label("own_pattern"),
        role_permissions.c.aliases,
        roles.c.workspace.label("role_workspace"),
    )
    .join(roles, roles.c.id == assignments.c.role_id)
    .outerjoin(role_permissions, role_permissions.c.role_id == roles.c.id)
    .where(
        one_of_texts(assignments.c.principal, "principals"),
        (assignments.c.expires_at.is_(None)) | (assignments.c.expires_at > _now),
    )
)

_PREPARE_ROLE = Prepared(upsert(roles, ["id"], ["name", "description"]))
_INSERT_ROLE = Prepared(insert_unless_taken(roles))
_ROLE = Prepared(select(roles).where(roles.c.id == bindparam("id")))
_ROLE_NAMED = Prepared(
    select(roles).where(roles.c.name == bindparam("name"), roles.c.workspace == bindparam("workspace"))
)
_ROLES = Prepared(select(roles).where(one_of_texts(roles.c.workspace, "workspaces")).order_by(roles.c.id))
_ALL_ROLES = Prepared(select(roles).order_by(roles.c.id))
_UPDATE_ROLE = Prepared(
    update(roles)
    .where(roles.c.id == bindparam("role_id"))
    .values(name=bindparam("name"), description=bindparam("description", type_=roles.c.description.type))
)
_DELETE_ROLE = Prepared(delete(roles).where(roles.c.id == bindparam("id")))
_LOCK_ROLE = Prepared(select(roles).where(roles.c.id == bindparam("id")).with_for_update())

_PERMISSIONS = Prepared(
    select(role_permissions).where(role_permissions.c.role_id == bindparam("role_id")).order_by(role_permissions.c.id)
)
_PERMISSION = Prepared(select(role_permissions).where(role_permissions.c.id == bindparam("id")))
_INSERT_PERMISSION = Prepared(
    insert(role_permissions).values(_binds(role_permissions)).returning(role_permissions.c.id)
)
_UPDATE_PERMISSION = Prepared(
    update(role_permissions)
    .where(role_permissions.c.id == bindparam("permission_id"))
    .values(effect=bindparam("effect"), verbs=bindparam("verbs"))
)
_DELETE_PERMISSION = Prepared(delete(role_permissions).where(role_permissions.c.id == bindparam("id")))
_DELETE_PERMISSIONS = Prepared(delete(role_permissions).where(role_permissions.c.role_id == bindparam("role_id")))

_ASSIGNED = select(assignments, roles.c.name.label("role"), roles.c.built_in).join(
    roles, roles.c.id == assignments.c.role_id
)
_ASSIGNMENT = Prepared(_ASSIGNED.where(assignments.c.id == bindparam("id")))
_SAME = Prepared(
    _ASSIGNED.where(
        *(
            assignments.c[name] == bindparam(name)
            for name in ("principal", "role_id", "effect", "workspace", "kind", "pattern")
        )
    )
)
_OF_PRINCIPAL = Prepared(_ASSIGNED.where(assignments.c.principal == bindparam("principal")).order_by(assignments.c.id))
_OF_ROLE = Prepared(_ASSIGNED.where(assignments.c.role_id == bindparam("role_id")).order_by(assignments.c.id))
_ON = Prepared(
    _ASSIGNED.where(
        *(assignments.c[name] == bindparam(name) for name in ("workspace", "kind", "pattern")),
    ).order_by(assignments.c.id)
)
_principal, _role_id = bindparam("principal", type_=Text()), bindparam("role_id", type_=integer())
_PAGE = Prepared(
    _ASSIGNED.where(
        or_(bindparam("anywhere", type_=integer()) == 1, assignments.c.workspace == bindparam("workspace")),
        or_(
            bindparam("principal", type_=Text()) == "", assignments.c.principal == bindparam("principal", type_=Text())
        ),
        or_(
            bindparam("role_id", type_=integer()) == 0,
            assignments.c.role_id == bindparam("role_id", type_=integer()),
        ),
        assignments.c.id > bindparam("after"),
    )
    .order_by(assignments.c.id)
    .limit(bindparam("most"))
)
_INSERT_ASSIGNMENT = Prepared(insert(assignments).values(_binds(assignments)).returning(assignments.c.id))
_DELETE_ASSIGNMENT = Prepared(delete(assignments).where(assignments.c.id == bindparam("id")))
_DELETE_OF_PRINCIPAL = Prepared(delete(assignments).where(assignments.c.principal == bindparam("principal")))
_DELETE_OF_ROLE = Prepared(delete(assignments).where(assignments.c.role_id == bindparam("role_id")))
_HOLDERS_HERE = (
    select(users.c.id, users.c.name, users.c.kind)
    .distinct()
    .select_from(users)
    .outerjoin(group_members, group_members.c.user_id == users.c.id)
    .join(
        assignments,
        or_(
            assignments.c.principal == "user/" + users.c.id,
            assignments.c.principal == "group/" + group_members.c.group_id,
        ),
    )
    .where(
        users.c.deleted_at.is_(None),
        users.c.disabled_at.is_(None),
        one_of_texts(assignments.c.workspace, "workspaces"),
    )
    .order_by(users.c.name)
)
_HOLDERS = Prepared(_HOLDERS_HERE)
_HOLDERS_OF_VERB = Prepared(
    _HOLDERS_HERE.where(
        assignments.c.effect == "allow",
        or_(
            one_of_integers(assignments.c.role_id, "built_in"),
            assignments.c.role_id.in_(
                select(role_permissions.c.role_id).where(role_permissions.c.verbs.like(bindparam("verb")))
            ),
        ),
    )
)


def groups_of(tx: Tx, user_id: str) -> list[Any]:
    """The groups that somebody is in: id and name."""
    return tx.rows(_GROUPS_OF, user_id=user_id)


def group(tx: Tx, group_id: str) -> Any | None:
    """The group with this id."""
    return tx.row(_GROUP, id=group_id)


def member_ids(tx: Tx, group_id: str) -> list[str]:
    """The ids of a group's members."""
    return [row.user_id for row in tx.rows(_MEMBERS, group_id=group_id)]


def held_by(tx: Tx, principals: str) -> list[Any]:
    """What these principals (a JSON list) hold now: a row for each assignment and permission of its role."""
    return tx.rows(_HELD, principals=principals, now=tx.now)


def prepare_role(tx: Tx, role_id: int, name: str, description: str) -> None:
    """Keep a role that every registry has."""
    tx.run(_PREPARE_ROLE, id=role_id, workspace="", name=name, description=description, built_in=1, created_at=tx.now)


def role(tx: Tx, role_id: int) -> Any | None:
    """The role's row."""
    return tx.row(_ROLE, id=role_id)


def lock_role(tx: Tx, role_id: int) -> Any | None:
    """The role's row; others that ask for it so wait."""
    return tx.row(_LOCK_ROLE, id=role_id)


def role_named(tx: Tx, workspace: str, name: str) -> Any | None:
    """The role of this name in this workspace (or in all, '')."""
    return tx.row(_ROLE_NAMED, workspace=workspace, name=name)


def roles_of(tx: Tx, workspaces: str) -> list[Any]:
    """The roles of these workspaces (a JSON list)."""
    return tx.rows(_ROLES, workspaces=workspaces)


def all_roles(tx: Tx) -> list[Any]:
    """Every role there is."""
    return tx.rows(_ALL_ROLES)


def insert_role(tx: Tx, values: dict[str, Any]) -> bool:
    """Keep a role; False if its name is taken."""
    return tx.run(_INSERT_ROLE, **values) == 1


def update_role(tx: Tx, row: Any, name: str, description: str | None) -> bool:
    """Give a role, whose row the caller has locked, another name and description; False if the name is taken."""
    if name != row.name and not _is_free(tx, row, name):
        return False
    return tx.run(_UPDATE_ROLE, role_id=row.id, name=name, description=description) == 1


def _is_free(tx: Tx, row: Any, name: str) -> bool:
    # An INSERT waits for whoever takes the name at the same moment and then says so, which an UPDATE does not.
    placeholder = -row.id
    if not insert_role(tx, row._asdict() | {"id": placeholder, "name": name}):
        return False
    return tx.run(_DELETE_ROLE, id=placeholder) == 1


def delete_role(tx: Tx, role_id: int) -> None:
    """Forget a role, what it holds and who has it."""
    tx.run(_DELETE_OF_ROLE, role_id=role_id)
    tx.run(_DELETE_PERMISSIONS, role_id=role_id)
    tx.run(_DELETE_ROLE, id=role_id)


def permissions_of_role(tx: Tx, role_id: int) -> list[Any]:
    """What a role holds, in the order it was given."""
    return tx.rows(_PERMISSIONS, role_id=role_id)


def role_permission(tx: Tx, permission_id: int) -> Any | None:
    """One permission of a role."""
    return tx.row(_PERMISSION, id=permission_id)


def insert_permission(tx: Tx, values: dict[str, Any]) -> int:
    """Keep a permission of a role; its id."""
    row = tx.row(_INSERT_PERMISSION, **values)
    return int(row.id) if row else 0


def update_permission(tx: Tx, permission_id: int, effect: str, verbs: str) -> None:
    """Change what a permission of a role, which the caller has locked, allows or denies."""
    tx.run(_UPDATE_PERMISSION, permission_id=permission_id, effect=effect, verbs=verbs)


def delete_permission(tx: Tx, permission_id: int) -> None:
    """Take a permission from its role, which the caller has locked."""
    tx.run(_DELETE_PERMISSION, id=permission_id)


def assignment(tx: Tx, assignment_id: int) -> Any | None:
    """One assignment, with its role's name."""
    return tx.row(_ASSIGNMENT, id=assignment_id)


def same_assignment(tx: Tx, **values: Any) -> Any | None:
    """The assignment of the same role to the same principal on the same thing, if there is one."""
    return tx.row(_SAME, **values)


def assignments_of(tx: Tx, principal: str) -> list[Any]:
    """What a principal was given, oldest first."""
    return tx.rows(_OF_PRINCIPAL, principal=principal)


def assignments_of_role(tx: Tx, role_id: int) -> list[Any]:
    """Who was given a role, oldest first."""
    return tx.rows(_OF_ROLE, role_id=role_id)


def assignments_on(tx: Tx, workspace: str, kind: str, pattern: str) -> list[Any]:
    """What was given on exactly this, oldest first."""
    return tx.rows(_ON, workspace=workspace, kind=kind, pattern=pattern)


def page_of_assignments(tx: Tx, **asked: Any) -> list[Any]:
    """A page of what was given, oldest first."""
    return tx.rows(_PAGE, **asked)


def insert_assignment(tx: Tx, values: dict[str, Any]) -> int:
    """Keep an assignment; its id."""
    row = tx.row(_INSERT_ASSIGNMENT, **values)
    return int(row.id) if row else 0


def delete_assignment(tx: Tx, assignment_id: int) -> bool:
    """Take an assignment back; False if it was gone."""
    return tx.run(_DELETE_ASSIGNMENT, id=assignment_id) == 1


def delete_assignments_of(tx: Tx, principal: str) -> None:
    """Take everything from a principal."""
    tx.run(_DELETE_OF_PRINCIPAL, principal=principal)


def holders_in(tx: Tx, workspaces: str) -> list[Any]:
    """Everybody who was given anything in these workspaces (a JSON list) and can sign in: id, name, kind."""
    return tx.rows(_HOLDERS, workspaces=workspaces)


def holders_of_verb(tx: Tx, workspaces: str, verb: str, built_in: str) -> list[Any]:
    """The same of who holds a role that allows a verb: one of `built_in` (a JSON list of ids), or one made here."""
    return tx.rows(_HOLDERS_OF_VERB, workspaces=workspaces, verb=f'%"{verb}"%', built_in=built_in)
