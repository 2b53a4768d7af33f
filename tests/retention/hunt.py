"""All that names bytes or lets go of them, at once and at random, while the trash is emptied without any grace."""

import hashlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import select

from modelkeep import models, promotion, retention, runs
from modelkeep.artifacts import LocalBlobs
from modelkeep.artifacts.tables import manifest_files, tree_files, trees
from modelkeep.bootstrap import dispatch, open_database
from modelkeep.core.errors import Conflict, NotFound, Unavailable
from modelkeep.db import Tx
from retention.keeper import Keeper

CONTENTS = [b"", *(b"%d" % index * 5 for index in range(4)), b"large" * 300_000]
# Named for moments only, so that they are nearly always on their way out when they come in again.
FLEETING = [b"fleeting %d" % index for index in range(4)]
RUNS = MODELS = 3
SLOW_S = 0.01
PATHS = ["a", "b", "d/c"]


class SlowBlobs(LocalBlobs):
    """The store on a slow disk: what is committed or deleted is so only a while before, or after, the caller knows."""

    def delete(self, sha256: str) -> None:
        time.sleep(random.random() * SLOW_S)
        super().delete(sha256)

    def publish(self, fd: int, name: str, blob: tuple[str, int], *, replace: bool) -> None:
        super().publish(fd, name, blob, replace=replace)
        time.sleep(random.random() * SLOW_S)


class Hunter:
    """Does one thing after the other, each at random, with a few runs, models and contents that all share.

    Each has a run and a model of its own too, that nobody else changes: what it was told is stored there must be there.
    """

    def __init__(self, keeper: Keeper, run_ids: list[str], seed: int) -> None:
        self.keeper = keeper
        self.run_ids = run_ids
        self.own = keeper.folder(keeper.run())
        self.own_model = f"own-{self.own.split('/')[-2]}"
        keeper.model(self.own_model)
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.deeds: list[Callable[[], object]] = [
            *[self.upload] * 3,
            *[self.upload_and_look] * 12,
            *[self.register_and_look] * 6,
            self.delete,
            self.delete_run,
            *[self.restore_run] * 2,
            *[self.register] * 3,
            self.copy,
            *[self.retire] * 2,
            self.restore,
            self.move,
        ]

    def until(self, end: float) -> None:
        """Go on until then; only refusals that a caller could be given are taken for granted."""
        while time.monotonic() < end:
            deed = self.random.choice(self.deeds)
            try:
                deed()
                self.done[deed.__name__] += 1
            except (Conflict, NotFound, Unavailable) as refusal:
                self.done[f"{deed.__name__} refused: {type(refusal).__name__}"] += 1

    def upload(self) -> None:
        self.keeper.upload(f"{self._folder()}/{self.random.choice(PATHS)}", self.random.choice(CONTENTS))

    def upload_and_look(self) -> None:
        data = self.random.choice(FLEETING)
        self.keeper.upload(f"{self.own}/file", data)
        self._look(f"{self.own}/file", data)
        self.keeper.delete(f"{self.own}/file")

    def register_and_look(self) -> None:
        data = self.random.choice(FLEETING)
        self.keeper.upload(f"{self.own}/m/file", data)
        number = self.keeper.register(f"{self.own}/m", self.own_model)
        self.keeper.move(number, "Staging", self.own_model)
        self.keeper.delete(f"{self.own}/m")
        uri = self.keeper.show(number, self.own_model).download_uri
        self._look(f"{uri.removeprefix('mlflow-artifacts:/')}/file", data)
        self.keeper.do(models.retire_version, self.own_model, number)

    def _look(self, path: str, data: bytes) -> None:
        """Hold the registry to what it acknowledged, some time later."""
        time.sleep(self.random.random() * SLOW_S * 2)
        try:
            found = self.keeper.read(path)
        except NotFound as error:
            raise AssertionError(f"{path} was acknowledged and is lost: {error}") from error
        assert found == data

    def delete(self) -> None:
        self.keeper.delete(self._folder() + self.random.choice(["", "/a", "/d"]))

    def delete_run(self) -> None:
        self.keeper.do(runs.delete_run, self.random.choice(self.run_ids))

    def restore_run(self) -> None:
        self.keeper.do(runs.restore_run, self.random.choice(self.run_ids))

    def register(self) -> None:
        self.keeper.register(self._folder(), self._model())

    def copy(self) -> None:
        source = f"models:/{self._model()}/{self._number()}"
        self.keeper.do(models.create_version, models.NewVersion(self._model(), source))

    def retire(self) -> None:
        self.keeper.do(models.retire_version, self._model(), self._number())

    def restore(self) -> None:
        self.keeper.do(models.restore_version, self._model(), self._number())

    def move(self) -> None:
        stage = self.random.choice(["None", "Staging", "Production"])
        self.keeper.do(promotion.move, self._model(), self._number(), stage)

    def collect(self) -> None:
        time.sleep(self.random.random() * SLOW_S)
        self.keeper.gc(older_than=0, trash_days=0)

    def _folder(self) -> str:
        return self.keeper.folder(self.random.choice(self.run_ids))

    def _model(self) -> str:
        return f"m{self.random.randrange(MODELS)}"

    def _number(self) -> int:
        """A version that is there, a late one rather than an early one."""
        return max(1, self.keeper.see(models.get_model, self._model()).last_version - self.random.randrange(6))


def furnish(keeper: Keeper) -> list[str]:
    """The runs and models that the hunters share, with a rule that lets all but the last two versions go."""
    for number in range(MODELS):
        keeper.model(f"m{number}")
    keeper.do(retention.set_workspace_rule, "default", retention.Rule(keep_last=2))
    return [keeper.run() for _ in range(RUNS)]


def hunt(keeper: Keeper, run_ids: list[str], seed: int, seconds: float, threads: int) -> Counter[str]:
    """Let several hunters loose; what they did together. Raises the first error that is no refusal."""
    end = time.monotonic() + seconds
    hunters = [Hunter(keeper, run_ids, seed + index) for index in range(threads)]
    for collector in hunters[:2]:
        collector.deeds = [collector.collect]
    errors: list[BaseException] = []

    def go(hunter: Hunter) -> None:
        try:
            hunter.until(end)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=go, args=(hunter,)) for hunter in hunters]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]
    return sum((hunter.done for hunter in hunters), Counter())


def hunt_in_process(url: str, folder: str, run_ids: list[str], seed: int, seconds: float) -> Counter[str]:
    """The same in a process of its own, on the database at this URL."""
    database = open_database(url, (dispatch,))
    blobs = SlowBlobs(Path(folder))
    try:
        return hunt(Keeper(database, blobs, []), run_ids, seed, seconds, threads=4)
    finally:
        database.close()
        blobs.close()


def named(keeper: Keeper) -> set[str]:
    """Every blob that a tree, or a version whose files were not let go of, names."""
    return keeper.see(_named)


def _named(tx: Tx) -> set[str]:
    in_trees = tx.rows(select(tree_files.c.sha256).distinct())
    in_versions = tx.rows(
        select(manifest_files.c.sha256)
        .distinct()
        .select_from(manifest_files.join(trees, trees.c.digest == manifest_files.c.digest))
        .where(trees.c.released_at.is_(None))
    )
    return {row.sha256 for row in [*in_trees, *in_versions]}


def damaged(keeper: Keeper) -> list[str]:
    """Named blobs that the store does not have, or not with the right bytes."""
    return [sha256 for sha256 in sorted(named(keeper)) if not _is_right(keeper, sha256)]


def _is_right(keeper: Keeper, sha256: str) -> bool:
    try:
        reader = keeper.blobs.open(sha256)
    except NotFound:
        return False
    data = reader.read_at(0, reader.size)
    reader.close()
    return hashlib.sha256(data).hexdigest() == sha256
