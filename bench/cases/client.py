"""`mlflow.sklearn.log_model` with the stock client, in a subprocess that measures itself."""

import json
import os
import subprocess
import sys

from bench.case import Case, Figures, Group, Peer, times_better
from bench.load import ROOT

TIMEOUT = 300
CALLS = 9
WHOLE = "whole ms"
HTTP = "HTTP ms"


def _measure(peer: Peer) -> Figures:
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_TRACKING_URI": peer.server.url}
    if peer.server.token:
        environment["MLFLOW_TRACKING_TOKEN"] = peer.server.token
    child = subprocess.run(
        [sys.executable, "-m", "bench.stock_client", str(CALLS)],
        env=environment,
        capture_output=True,
        cwd=ROOT,
        timeout=TIMEOUT,
        check=False,
    )
    if child.returncode:
        raise RuntimeError(f"the client failed: {child.stderr[-1000:].decode(errors='replace')}")
    found = json.loads(child.stdout.splitlines()[-1])
    return {WHOLE: found["whole"], HTTP: found["http"], "HTTP calls": found["calls"]}


GROUP = Group(
    "client",
    "Stock client",
    (Case("sklearn.log_model, registered", _measure, (times_better(WHOLE, 1.6), times_better(HTTP, 6))),),
)
