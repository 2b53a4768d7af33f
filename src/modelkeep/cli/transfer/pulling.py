"""A pull whose files are not all in the cache: fetch what is missing and make the folder."""

from modelkeep.cli.transfer.cache import Cache
from modelkeep.cli.transfer.download import fetch, missing_files
from modelkeep.cli.transfer.place import place
from modelkeep.cli.transfer.plan import Plan
from modelkeep.cli.transfer.progress import progress_bar
from modelkeep.cli.wire import Server


def pull_plan(server: Server, cache: Cache, plan: Plan, folder: str, *, link: bool, shown: bool) -> int:
    """Make a folder of a plan's files; how many bytes came. Raises Refused, ServerGone or OSError."""
    fetched = _fetched(server, cache, plan, shown=shown)
    try:
        place(cache, plan.files, folder, link=link)
    except FileNotFoundError:  # the cache was cleared meanwhile, by somebody else
        fetched += _fetched(server, cache, plan, shown=shown)
        place(cache, plan.files, folder, link=link)
    return fetched


def _fetched(server: Server, cache: Cache, plan: Plan, *, shown: bool) -> int:
    missing = missing_files(cache, plan)
    with progress_bar("pull", sum(file.size for file in missing), shown=shown) as progress:
        return fetch(server, cache, plan.root, missing, progress)
