"""How much is stored, for whom, and the quotas on it."""
