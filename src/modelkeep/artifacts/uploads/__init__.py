"""Uploads in parts: begun, received, resumed, completed."""
