"""The server fixture for the 2.x client; it is the one of the 3.x client's tests."""

from faces.mlflow.conftest import server

__all__ = ["server"]
