"""The measurements, one module a group; each has a GROUP."""
