"""Modelkeep: a self-hosted model registry that speaks MLflow and can prove what it says."""

__version__ = "0.1.0"
