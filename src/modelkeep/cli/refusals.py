"""How a command ends that could not do what it was asked."""

# Exit codes: 0 done, 1 refused, 2 wrong usage or settings, 3 the database's schema, 4 the server does not answer.
REFUSED, USAGE, SCHEMA, UNREACHABLE = 1, 2, 3, 4


class Refused(Exception):
    """The server, or the command itself, refused; the text is the explanation."""


class ServerGone(Exception):
    """The server does not answer."""
