"""One inspection under way: where it looks, what it has found, and how much it may still use."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from modelkeep.scanner.report import MOST_FINDINGS, Contents, Finding, Verdict
from modelkeep.scanner.severities import severity_of
from modelkeep.scanner.sources import Bomb, Broken, Budget, OverLimit, Source

_DEEPEST = 8
_LONGEST_TEXT = 600
_LONGEST_NAME = 1_000

# Says what a source is, by its content, and reports what speaks against it.
Look = Callable[["Scan", Source, str], str]


@dataclass(slots=True)
class Scan:
    """What all formats share. `look` is how a format has the contents of an archive looked at."""

    look: Look
    paths: frozenset[str]
    budget: Budget = field(default_factory=Budget)
    findings: dict[tuple[str, str, str, str], Finding] = field(default_factory=dict)
    contents: Contents = field(default_factory=Contents)
    file: str = ""
    raw_files: set[str] = field(default_factory=set)
    _place: list[str] = field(default_factory=list)

    def report(self, rule: str, text: str) -> None:
        """Something speaks against where we are."""
        self.add(Finding(file=self.file, rule=rule, severity=severity_of(rule), text=shown(text), place=self.place))

    def add(self, finding: Finding) -> None:
        """Keep a finding once. When there are too many, the first of each severity stay."""
        key = (finding.file, finding.place, finding.rule, finding.text)
        if key in self.findings:
            return
        if len(self.findings) < MOST_FINDINGS - 3 or not self._has(finding.severity):
            self.findings[key] = finding

    def _has(self, severity: Verdict) -> bool:
        return any(finding.severity == severity for finding in self.findings.values())

    @property
    def place(self) -> str:
        """Where inside the file we are."""
        return shown(" > ".join(self._place), _LONGEST_NAME)

    @property
    def is_inside(self) -> bool:
        """Whether we are in an archive."""
        return bool(self._place)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """Be in a part of where we are. Raises OverLimit where that is too deep."""
        if len(self._place) >= _DEEPEST:
            raise OverLimit("archives lie too deep in one another")
        self._place.append(shown(name, 200))
        try:
            yield
        finally:
            self._place.pop()

    def look_inside(self, source: Source, name: str, inspect: Callable[["Scan", Source], str]) -> str:
        """Look at a part of where we are, which is of a known format."""
        with self.inside(name):
            return self.guarded(lambda: inspect(self, source))

    def look_at(self, source: Source, name: str) -> str:
        """Look at a source here; what it is. What goes wrong is a finding, and never safe."""
        return self.guarded(lambda: self.look(self, source, name))

    def guarded(self, look: Callable[[], str]) -> str:
        """What a look says; what goes wrong with it is a finding."""
        try:
            return look()
        except Broken as error:
            self.report("format.broken", f"It cannot be read to its end: {error}.")
            return "broken"
        except OverLimit as error:
            self.report("limits.reached", f"Not all of it was looked at: {error}.")
            return "not looked at"
        except Bomb as error:
            self.report("archive.bomb", f"{error}.")
            return "bomb"
        except RecursionError:
            self.report("limits.reached", "Not all of it was looked at: its values lie too deep in one another.")
            return "not looked at"


def shown(text: str, longest: int = _LONGEST_TEXT) -> str:
    """A hostile text for people: one line, printable, not too long."""
    clean = "".join(char if char.isprintable() else "?" for char in text[: longest + 1])
    return clean if len(clean) <= longest else clean[: longest - 3] + "..."
