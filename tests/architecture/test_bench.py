"""What `make bench` borrows from the tests works without a test run around it."""

import subprocess
import sys
from pathlib import Path

from servers import clean_environment

ROOT = Path(__file__).parents[2]
SCRIPT = """
import psycopg
from bench.cases import audit

with audit._postgres() as url, psycopg.connect(url.replace("+psycopg", "")) as connection:
    print(connection.execute("SELECT current_setting('fsync')").fetchone()[0])
"""


def test_the_bench_has_a_postgresql_of_its_own_that_waits_for_the_disk() -> None:
    """Outside a test run, too, the bench starts a PostgreSQL server, and that one has fsync on."""
    outside = clean_environment({"TMPDIR": "/tmp"})

    ran = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=outside, capture_output=True, text=True)

    assert ran.stdout.strip() == "on", ran.stderr
