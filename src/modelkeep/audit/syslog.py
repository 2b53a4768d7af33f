"""An entry as a syslog message (RFC 5424) whose text is in the Common Event Format, which log collectors read."""

import re
import socket
from typing import Any

from modelkeep import __version__
from modelkeep.audit.writing import rfc_3339

# Facility 13 is the log audit; severity 6 informational, 4 warning.
_DONE, _REFUSED = 13 * 8 + 6, 13 * 8 + 4
_LONGEST = 1000
_LONGEST_DATA = 4000
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029]")
_NOT_PRINTABLE = re.compile(r"[^\x21-\x7e]")


def message(row: Any) -> bytes:
    """The entry as one message, without a newline behind it. Long texts are cut: the place names the whole of it."""
    priority = _REFUSED if row.outcome == "refused" else _DONE
    head = f"<{priority}>1 {rfc_3339(row.at)} {_word(socket.gethostname(), 255)} modelkeep - {_word(row.kind, 32)} -"
    return f"{head} {_cef(row)}".encode()


def _cef(row: Any) -> str:
    severity = 6 if row.outcome == "refused" else 3
    kind = _in_head(row.kind)
    values = {
        "rt": row.at,
        "externalId": row.seq,
        "suser": row.actor,
        "suid": row.actor_id,
        "src": row.address,
        "outcome": row.outcome,
        "reason": row.reason,
        "cs1Label": "resource",
        "cs1": row.resource,
        "cs2Label": "workspace",
        "cs2": row.workspace,
        "cs3Label": "request",
        "cs3": row.request_id,
        "cs4Label": "token",
        "cs4": row.token_id,
        "cs5Label": "signedInBy",
        "cs5": row.actor_method,
    }
    pairs = [f"{name}={_in_extension(str(value), _LONGEST)}" for name, value in values.items() if value != ""]
    pairs.append(f"msg={_in_extension(row.data, _LONGEST_DATA)}")
    return f"CEF:0|Modelkeep|modelkeep|{__version__}|{kind}|{kind}|{severity}|{' '.join(pairs)}"


def _in_head(text: str) -> str:
    return _CONTROL.sub(" ", text).replace("\\", "\\\\").replace("|", "\\|")


def _in_extension(text: str, longest: int) -> str:
    text = text if len(text) <= longest else f"{text[:longest]}..."
    return _CONTROL.sub(" ", text.replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n"))


def _word(text: str, longest: int) -> str:
    return _NOT_PRINTABLE.sub("-", text)[:longest] or "-"
