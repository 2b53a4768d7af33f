"""A checkup of the whole registry on the native API, a page at a time, for whoever asks until it is done."""

from modelkeep import checkup
from modelkeep.access import Permission
from modelkeep.checkup import Compared, Kind, LeftOvers, Line, Stage, Status
from modelkeep.core.errors import InvalidInput, Unavailable
from modelkeep.db.clock import now_ms
from modelkeep.faces.native.messages import Cursor
from modelkeep.faces.native.wire import NATIVE, Answer, Request, read_cursor, routes, write_cursor
from modelkeep.faces.operations import Exchange, Mode, Operation

_EXAMPLES = 20
_WORKER = max(Stage) + 1
_LEFT_OVERS = min(Stage) - 1
_PARTS = _LEFT_OVERS - 1
_COUNTING = LeftOvers()


class CheckUp(Request):
    """Go on with a checkup; without a cursor, begin one."""

    cursor: Cursor = ""


class DoctorLine(Answer):
    """What was found of one part: `ok`, `warn` or `bad`, and what to do about it.

    Where things disagree `count` says how many on this page; some of them are in `examples`.
    """

    name: str
    status: str
    text: str
    remedy: str | None = None
    count: int | None = None
    examples: list[str] | None = None


class DoctorAnswer(Answer):
    """Some lines of a checkup, how many blobs, versions and lists of files were compared for them, and the server's
    time (in ms). It is done where there is no `next_cursor`.
    """

    lines: list[DoctorLine]
    compared: int
    now: int
    next_cursor: str | None = None


async def check_up(exchange: Exchange) -> DoctorAnswer:
    """The next page of a checkup."""
    request: CheckUp = exchange.request
    at, text, number = read_cursor(request.cursor, int, str, int) if request.cursor else (_PARTS, "", 0)
    if not _PARTS <= at <= _WORKER:
        raise InvalidInput("This is no cursor of a checkup; take `next_cursor` from an answer.", "cursor")
    return await exchange.app.at_length(lambda: _page(exchange, at, (text, number)))


def _page(exchange: Exchange, at: int, after: tuple[str, int]) -> DoctorAnswer:
    app, caller = exchange.app, exchange.caller
    if at == _PARTS:
        urls = app.settings.database_url, app.settings.artifacts_url
        lines = checkup.look_at_parts(app.database, caller, app.blobs, *urls)
        is_away = any(line.name == "store" and line.status is Status.BAD for line in lines)
        return _answer([_line(line) for line in lines], 0, (min(Stage) if is_away else at + 1, "", 0))
    if at == _LEFT_OVERS:
        left = _COUNTING.lines(app.database, app.blobs)
        return _answer([_line(line) for line in left or []], 0, (at if left is None else at + 1, "", 0))
    if at == _WORKER:
        return _answer([_line(checkup.look_at_worker(app.database, caller))], 0, None)
    try:
        found = checkup.compare(app.database, caller, app.blobs, Stage(at), after)
    except Unavailable as error:
        return _answer([_line(Line("agreement", Status.BAD, f"not compared: {error.message}"))], 0, (at + 1, "", 0))
    following = (at, *found.following) if found.following else (at + 1, "", 0)
    return _answer(_disagreements(found), found.checked, following)


def _answer(lines: list[DoctorLine], compared: int, following: tuple[int, str, int] | None) -> DoctorAnswer:
    more = write_cursor(*following) if following else None
    return DoctorAnswer(lines=lines, compared=compared, now=now_ms(), next_cursor=more)


def _line(line: Line) -> DoctorLine:
    return DoctorLine(name=line.name, status=line.status.value, text=line.text, remedy=line.remedy or None)


def _disagreements(found: Compared) -> list[DoctorLine]:
    lines = []
    for kind in Kind:
        of_kind = [one.what for one in found.found if one.kind is kind]
        if of_kind:
            status, text, remedy = kind.value
            line = DoctorLine(name="agreement", status=status.value, text=text, remedy=remedy)
            line.count, line.examples = len(of_kind), of_kind[:_EXAMPLES]
            lines.append(line)
    return lines


OPERATIONS: list[Operation] = [
    Operation(
        "storage.check_up",
        NATIVE,
        routes("POST", "doctor"),
        CheckUp,
        check_up,
        Mode.STEPS,
        Permission.SERVER_MANAGE,
        "Whether every part works, and database and store agree, a page at a time",
        DoctorAnswer,
    ),
]
