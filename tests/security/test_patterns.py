"""No pattern of this program can be made to try for ever (IN-04), and none comes from a caller."""

import ast
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import modelkeep

ROOT = Path(modelkeep.__file__).parent
CALLS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "subn", "split"}
# Where patterns are put together: of constants, and of the names of fields that a store's answers have.
MADE = {"artifacts/stores/s3/requests.py", "cli/terminal.py"}
CPU_SECONDS = 60
# Fewer repetitions than a request may have, and many more than an exponential pattern survives.
LONG = 300
TRIAL = """
import re, sys
patterns = eval(sys.stdin.read())
for pattern in patterns:
    binary = isinstance(pattern, bytes)
    compiled = re.compile(pattern)
    letters = sorted(set((pattern.decode("latin-1") if binary else pattern) + "aA0 _-/.:\\\\\\"'"))
    texts = [one * LONG for one in letters]
    texts += [(one + two) * (LONG // 2) for one, two in zip(letters, letters[1:] + letters[:1])]
    for text in texts:
        for hostile in (text, text + "\\x00", text + "!", "a" + text + "\\n"):
            given = hostile.encode("utf-8") if binary else hostile
            compiled.fullmatch(given), compiled.match(given), compiled.search(given)
"""


def patterns() -> Iterator[tuple[Path, str | bytes]]:
    """Every pattern that stands in the source."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if _is_call_of_re(node) and isinstance(node.args[0], ast.Constant):
                yield path, node.args[0].value


def _is_call_of_re(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "re"
        and node.func.attr in CALLS
    )


def ends_in_time(found: list[str | bytes], seconds: int) -> bool:
    """Whether all patterns come to an end on hostile texts within so much time of a processor."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))

    trial = TRIAL.replace("LONG", str(LONG))
    command = [sys.executable, "-c", trial]
    done = subprocess.run(command, input=repr(found), text=True, preexec_fn=limit, capture_output=True, check=False)
    assert done.returncode == 0 or done.returncode < 0, done.stderr
    return done.returncode == 0


def test_IN_04_every_pattern_comes_to_an_end() -> None:
    """On long texts of what each pattern is made of, all of them together end within their time."""
    found = sorted({pattern for _, pattern in patterns()}, key=repr)
    assert len(found) > 30
    for pattern in found:
        re.compile(pattern)
    assert ends_in_time(found, CPU_SECONDS)


def test_IN_04_a_pattern_that_tries_for_ever_is_found() -> None:
    """The trial notices the textbook's worst."""
    assert not ends_in_time(["(a+)+$"], 2)


def test_IN_04_no_pattern_is_made_of_what_a_caller_sends() -> None:
    """Patterns are constants, apart from those of two modules, which put them together of their own constants."""
    made = {
        path.relative_to(ROOT).as_posix()
        for path in sorted(ROOT.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if _is_call_of_re(node) and not isinstance(node.args[0], ast.Constant)
    }
    assert made == MADE
