"""Modelkeep beside a tuned `mlflow server`, in one run, over the wire only. Run with `python -m bench`."""
