"""Access: who is calling, and what they may do."""

from modelkeep.access.identity import Identity, OpenDoor, TokenIdentity
from modelkeep.access.rules import Permission
from modelkeep.access.service import (
    caller_of_link,
    create_workspace,
    get_workspace,
    list_workspaces,
    make_first_token,
    make_links,
    may,
    prepare_default_workspace,
    prepare_link_key,
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
    "caller_of_link",
    "create_workspace",
    "get_workspace",
    "list_workspaces",
    "make_first_token",
    "make_links",
    "may",
    "prepare_default_workspace",
    "prepare_link_key",
    "replace_administrator_token",
    "require",
    "workspace_exists",
]
