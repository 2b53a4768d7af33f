"""Moving versions between this machine and a server: the plan, the cache, downloads and uploads in parallel."""
