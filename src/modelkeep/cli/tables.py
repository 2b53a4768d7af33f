"""Tables on the terminal."""

import importlib
from collections.abc import Iterable, Sequence

from modelkeep.cli.terminal import harmless

_WIDEST = 100_000


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows under a header, in columns as wide as the terminal allows; to a pipe or file, a line for each row."""
    # Rich takes a twentieth of a second to import, and `modelkeep serve` prints no table.
    table = importlib.import_module("rich.table").Table(box=None, header_style="bold", pad_edge=False)
    for column in header:
        table.add_column(column, overflow="fold")
    text = importlib.import_module("rich.text").Text
    for row in rows:
        # A text as it is: brackets in it are no markup.
        table.add_row(*(text(harmless(cell)) for cell in row))
    console = importlib.import_module("rich.console").Console()
    if not console.is_terminal:
        console.width = _WIDEST
    console.print(table)


def counted(number: int, thing: str, things: str = "") -> str:
    """So many of something: `1 file`, `2 files`; `things` where that is no `s` more."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"


def bytes_text(size: int) -> str:
    """A number of bytes for people: `12.3 MB`."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
