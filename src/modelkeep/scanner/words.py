"""Lists of names, written as text with blanks between them."""


def words(text: str) -> tuple[str, ...]:
    """The names in a text, in order."""
    return tuple(text.split())
