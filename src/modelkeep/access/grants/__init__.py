"""Roles, who holds them, and what follows from that for a request."""
