"""The last page of all versions against the first: whether paging slows down as it goes."""

from bench import wire
from bench.case import Case, Figures, Group, Peer, at_most
from bench.servers import Server

PAGE = 100
BIG_PAGE = 10_000
MOST_PAGES = 1_000
PATH = "model-versions/search"
RATIO = "last / first"


def _measure(peer: Peer) -> Figures:
    token = _token_of_last_page(peer.server)
    first = peer.measure([wire.get(peer.server, PATH, max_results=PAGE)], connections=1, least=3)
    last = peer.measure([wire.get(peer.server, PATH, max_results=PAGE, page_token=token)], connections=1, least=3)
    return {
        "first page p50 ms": first["p50 ms"],
        "last page p50 ms": last["p50 ms"],
        "last page p99 ms": last["p99 ms"],
        RATIO: last["p50 ms"] / first["p50 ms"],
        "errors": first["errors"] + last["errors"],
    }


def _token_of_last_page(server: Server) -> str:
    """Walk in big pages to the end, then ask for the last big page again, short of its last 100."""
    start, answer = {}, wire.call(server, "GET", PATH, max_results=BIG_PAGE)
    for _ in range(MOST_PAGES):
        if "next_page_token" not in answer:
            break
        start = {"page_token": answer["next_page_token"]}
        answer = wire.call(server, "GET", PATH, max_results=BIG_PAGE, **start)
    size = len(answer["model_versions"]) - PAGE
    if size <= 0:
        raise RuntimeError(f"the last page of {BIG_PAGE:,} holds no more than {PAGE} versions")
    answer = wire.call(server, "GET", PATH, max_results=size, **start)
    last = wire.call(server, "GET", PATH, max_results=PAGE, page_token=answer["next_page_token"])
    if last.get("next_page_token") or len(last["model_versions"]) != PAGE:
        raise RuntimeError("the token found is not that of the last page")
    return str(answer["next_page_token"])


GROUP = Group(
    "pages",
    "Last page of all versions, 1 client",
    (Case("page of 100, last against first", _measure, (at_most(RATIO, 1.5),)),),
)
