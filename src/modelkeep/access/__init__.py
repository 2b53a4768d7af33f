"""Access: who is calling, and what they may do."""

from modelkeep.access import people
from modelkeep.access.administrator import adopt_token_owners, make_first_token, replace_administrator_token
from modelkeep.access.decision import Asked, Refused, decide, permit, refusal
from modelkeep.access.grants import assignments, review, roles, sharing
from modelkeep.access.grants.events import RolePermissionAdded, RolePermissionChanged
from modelkeep.access.grants.known import KnownRights
from modelkeep.access.grants.rights import rights_of, rights_of_caller, user_principal, who_may
from modelkeep.access.people.events import GroupDeleted, MemberAdded, MemberRemoved, UserDeleted, UserDisabled
from modelkeep.access.permissions import Permission
from modelkeep.access.rules import (
    ANY,
    BUILT_IN,
    EVERY_VERB,
    NOTHING,
    OPEN,
    SERVER,
    Effect,
    Grant,
    Kind,
    Rights,
    Target,
    Verb,
    by_id,
    id_in,
    workspace_target,
)
from modelkeep.access.service import (
    caller_of_link,
    create_workspace,
    describe_workspace,
    get_workspace,
    list_workspaces,
    lock_workspace,
    make_links,
    prepare_default_workspace,
    prepare_link_key,
    set_audit_downloads,
    workspace_exists,
)
from modelkeep.access.signin import oidc, passwords, tokens, workload
from modelkeep.access.signin.identity import HeaderIdentity, Identity, OpenDoor
from modelkeep.access.signin.logins import link_login, person_of
from modelkeep.access.signin.password_check import check_password
from modelkeep.access.signin.providers import Providers, make_providers
from modelkeep.access.signin.sessions import (
    Sessions,
    SessionView,
    csrf_token,
    end_all_sessions,
    end_session,
    forget_sessions,
    list_own_sessions,
    start_session,
    view_session,
)
from modelkeep.access.signin.throttle import forget_sign_in_failures, site_of
from modelkeep.access.signin.token_text import NewToken

__all__ = [
    "ANY",
    "BUILT_IN",
    "EVERY_VERB",
    "NOTHING",
    "OPEN",
    "SERVER",
    "Asked",
    "Effect",
    "Grant",
    "GroupDeleted",
    "HeaderIdentity",
    "Identity",
    "Kind",
    "KnownRights",
    "MemberAdded",
    "MemberRemoved",
    "NewToken",
    "OpenDoor",
    "Permission",
    "Providers",
    "Refused",
    "Rights",
    "RolePermissionAdded",
    "RolePermissionChanged",
    "SessionView",
    "Sessions",
    "Target",
    "UserDeleted",
    "UserDisabled",
    "Verb",
    "adopt_token_owners",
    "assignments",
    "by_id",
    "caller_of_link",
    "check_password",
    "create_workspace",
    "csrf_token",
    "decide",
    "describe_workspace",
    "end_all_sessions",
    "end_session",
    "forget_sessions",
    "forget_sign_in_failures",
    "get_workspace",
    "id_in",
    "link_login",
    "list_own_sessions",
    "list_workspaces",
    "lock_workspace",
    "make_first_token",
    "make_links",
    "make_providers",
    "oidc",
    "passwords",
    "people",
    "permit",
    "person_of",
    "prepare_default_workspace",
    "prepare_link_key",
    "refusal",
    "replace_administrator_token",
    "review",
    "rights_of",
    "rights_of_caller",
    "roles",
    "set_audit_downloads",
    "sharing",
    "site_of",
    "start_session",
    "tokens",
    "user_principal",
    "view_session",
    "who_may",
    "workload",
    "workspace_exists",
    "workspace_target",
]
