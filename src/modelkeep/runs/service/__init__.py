"""Use cases of experiments, runs, their records and logged models."""
