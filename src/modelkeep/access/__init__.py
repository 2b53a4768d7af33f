"""Access: who is calling, and what they may do."""

from modelkeep.access.identity import Identity, OpenDoor, TokenIdentity
from modelkeep.access.rules import Permission
from modelkeep.access.service import (
    create_workspace,
    get_workspace,
    list_workspaces,
    make_first_token,
    prepare_default_workspace,
    replace_administrator_token,
    require,
    workspace_exists,
)
from modelkeep.access.tokens import NewToken

__all__ = [
    "Identity",
    "NewToken",
    "OpenDoor",
    "Permission",
    "TokenIdentity",
    "create_workspace",
    "get_workspace",
    "list_workspaces",
    "make_first_token",
    "prepare_default_workspace",
    "replace_administrator_token",
    "require",
    "workspace_exists",
]
