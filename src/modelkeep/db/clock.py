"""The one clock: milliseconds since the epoch, as MLflow's wire counts them."""

import time


def now_ms() -> int:
    """Wall-clock time in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
