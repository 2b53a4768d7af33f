"""Audit: the record of what was done, by whom, and the tree that proves it."""

from modelkeep.audit.as_of import Fact, Past, as_of
from modelkeep.audit.copies import Copies, CopyFailed, FileOutside, ObjectOutside, Outside
from modelkeep.audit.downloads import audits_downloads, note_download, set_audits_downloads
from modelkeep.audit.hidden import Hidden, HiddenRefusals, Suspect
from modelkeep.audit.keys import Keys, load_keys, load_or_make_keys, replaced, write_new, write_over
from modelkeep.audit.proofs import (
    Kept,
    Proven,
    State,
    check_stretch,
    consistency,
    entry_bundle,
    log_state,
    newest_checkpoint,
    proven_entry,
    signed_checkpoints,
    stretch,
    tile_hashes,
)
from modelkeep.audit.refusals import UnknownCallers, note_refusal, resource_of
from modelkeep.audit.search import Batch, batch_after, last_entry, search
from modelkeep.audit.selection import Selection, resources_of
from modelkeep.audit.sequence import Sequencer, tell_unknown_key
from modelkeep.audit.service import entries, record
from modelkeep.audit.sinks import Sink, open_sink
from modelkeep.audit.tree_store import prepare_log
from modelkeep.audit.webhook import Webhook
from modelkeep.audit.writing import FORMATS, rfc_3339

__all__ = [
    "FORMATS",
    "Batch",
    "Copies",
    "CopyFailed",
    "Fact",
    "FileOutside",
    "Hidden",
    "HiddenRefusals",
    "Kept",
    "Keys",
    "ObjectOutside",
    "Outside",
    "Past",
    "Proven",
    "Selection",
    "Sequencer",
    "Sink",
    "State",
    "Suspect",
    "UnknownCallers",
    "Webhook",
    "as_of",
    "audits_downloads",
    "batch_after",
    "check_stretch",
    "consistency",
    "entries",
    "entry_bundle",
    "last_entry",
    "load_keys",
    "load_or_make_keys",
    "log_state",
    "newest_checkpoint",
    "note_download",
    "note_refusal",
    "open_sink",
    "prepare_log",
    "proven_entry",
    "record",
    "replaced",
    "resource_of",
    "resources_of",
    "rfc_3339",
    "search",
    "set_audits_downloads",
    "signed_checkpoints",
    "stretch",
    "tell_unknown_key",
    "tile_hashes",
    "write_new",
    "write_over",
]
