"""What every test may ask for: an empty database of either kind, a free port, and logs when a server test fails."""

import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

import postgres
import seaweed
import servers
from servers import SHARED

FreshPostgres = Callable[[], str]

hypothesis.settings.register_profile("ci", max_examples=50, deadline=None, print_blob=True)
hypothesis.settings.register_profile("deep", max_examples=1_000, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that all processes of this run share; only the first process does, the others inherit it."""
    if not hasattr(config, "workerinput"):
        os.environ[SHARED] = tempfile.mkdtemp(prefix="modelkeep-tests-")
        Path(os.environ[SHARED]).chmod(0o755)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the run's processes shared, when the last of them is done."""
    if not hasattr(config, "workerinput"):
        shared = Path(os.environ.pop(SHARED))
        postgres.stop_shared_server(shared)
        seaweed.stop_shared_server(shared)
        shutil.rmtree(shared, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the servers that run to the report of a failed test."""
    report = yield
    if report.failed:
        report.sections.extend(("modelkeep server", server.log) for server in servers.STARTED)
    return report


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The run's PostgreSQL server, `postgresql://...` without a database; started by the first test that asks."""
    return postgres.shared_server(Path(os.environ[SHARED]))


@pytest.fixture(scope="session")
def postgres_url(postgres_server: str) -> Iterator[str]:
    """An empty database for the whole session of this process: `postgresql+psycopg://...`."""
    with postgres.empty_database(postgres_server) as url:
        yield url


@pytest.fixture
def fresh_postgres(postgres_server: str) -> Iterator[FreshPostgres]:
    """A function that makes one empty PostgreSQL database a call and answers its URL; all are dropped at the end."""
    with contextlib.ExitStack() as databases:
        yield lambda: databases.enter_context(postgres.empty_database(postgres_server))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'modelkeep.db'}"
    make: FreshPostgres = request.getfixturevalue("fresh_postgres")
    return make()


@pytest.fixture(scope="session")
def seaweed_server() -> str:
    """The endpoint of the run's S3 server; started by the first test that asks."""
    return seaweed.shared_server(Path(os.environ[SHARED]))


@pytest.fixture
def bucket(seaweed_server: str) -> seaweed.Bucket:
    """An empty place of this test's own in the run's S3 server."""
    return seaweed.Bucket(seaweed_server, f"{secrets.token_hex(8)}/blobs")


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that finds a loopback port nobody listens on."""
    return servers.free_port
