"""The stores of blobs: a local disk, S3, and what is put around either."""
