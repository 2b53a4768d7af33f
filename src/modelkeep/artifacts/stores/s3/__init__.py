"""Blobs on S3 and what is compatible with it."""
