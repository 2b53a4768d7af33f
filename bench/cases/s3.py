"""The same transfers with files kept in an S3 bucket: a SeaweedFS on this machine, whose own speed is the limit.

The baseline needs boto3 for a bucket, which this environment has not: what stands beside is Modelkeep itself on local
disk, on a server of its own, and SeaweedFS alone. All three share the processors with the clients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.case import Case, Figures, Group, Peer, at_most
from bench.cases import files, folders, transfer
from bench.report import OURS
from bench.seaweed import Seaweed, start_seaweed
from bench.servers import start_modelkeep

ON_DISK = " on disk"
OF_SEAWEED = "of SeaweedFS alone"
COMPARED = ("MB/s", "files/s")
MULTIPART = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "true",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "true",
    "MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(16 << 20),
    "MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE": str(16 << 20),
    "MLFLOW_MULTIPART_DOWNLOAD_MINIMUM_FILE_SIZE": str(16 << 20),
}

Work = Callable[[Peer], Figures]


@dataclass(frozen=True)
class Stores:
    """Modelkeep on either store, without seeded data, and the server of the bucket."""

    bucket: Peer
    disk: Peer
    seaweed: Seaweed


STARTED: dict[int, Stores] = {}


def _prepare(peer: Peer) -> None:
    if peer.name != OURS:
        return
    seaweed = start_seaweed(peer.folder / "seaweed")
    peer.besides.callback(seaweed.stop)
    bucket = partial(start_modelkeep, artifacts=seaweed.artifacts, environment=seaweed.environment)
    stores = STARTED[id(peer)] = Stores(
        _unseeded(peer, "s3", bucket), _unseeded(peer, "disk", start_modelkeep), seaweed
    )
    for one in (stores.bucket, stores.disk):
        peer.besides.callback(one.close)
        for group in (transfer, files, folders):
            group.prepare(one)


def _unseeded(peer: Peer, name: str, launch: Callable[..., object]) -> Peer:
    return Peer(
        OURS,
        launch,  # type: ignore[arg-type]
        peer.folder / name,
        peer.shape,
        peer.seconds,
        peer.journal,
        is_seeded=False,
        client_environment=MULTIPART,
    )


def _on_both(work: Work, peer: Peer) -> Figures:
    """The figures with the bucket, and the speeds on local disk beside them."""
    if peer.name != OURS:
        return {}
    stores = STARTED[id(peer)]
    on_disk = work(stores.disk)
    return work(stores.bucket) | {name + ON_DISK: on_disk[name] for name in COMPARED if name in on_disk}


def _put(peer: Peer) -> Figures:
    if peer.name != OURS:
        return {}
    stores = STARTED[id(peer)]
    alone = {"SeaweedFS PUT MB/s": lambda: stores.seaweed.put_speed(transfer.local_file(stores.bucket))}
    return transfer.beside(lambda: _on_both(transfer.put_big, peer), alone, OF_SEAWEED)


def _get(peer: Peer) -> Figures:
    if peer.name != OURS:
        return {}
    alone = {"SeaweedFS GET MB/s": STARTED[id(peer)].seaweed.get_speed}
    return transfer.beside(lambda: _on_both(transfer.get_big, peer), alone, OF_SEAWEED)


def _case(name: str, work: Work) -> Case:
    return Case(name, partial(_on_both, work))


FLAT = (at_most(transfer.GROWTH, transfer.FLAT_MB),)
BIG, SMALL = folders.BIG_NAME, folders.SMALL_NAME
GROUP = Group(
    "s3",
    "Files in an S3 bucket (SeaweedFS): one of 1 GiB, 200 of 100 kB, folders",
    (
        Case("PUT", _put, FLAT),
        Case("GET", _get, FLAT),
        _case("PUT, 200 of 100 kB", files.put),
        _case("GET, 200 of 100 kB", files.get),
        _case("push, one big file", partial(folders.push, BIG)),
        _case("pull, one big file", partial(folders.pull, BIG)),
        _case("push, 200 of 100 kB", partial(folders.push, SMALL)),
        _case("pull, 200 of 100 kB", partial(folders.pull, SMALL)),
        _case("stock client, multipart up, one big file", partial(folders.stock_push, BIG)),
        _case("stock client, multipart down, one big file", partial(folders.stock_pull, BIG)),
    ),
    _prepare,
)
