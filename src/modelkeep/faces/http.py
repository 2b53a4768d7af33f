"""The ASGI application: guard, route, parse, permit, run, render, log; and the one edge where errors become answers."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, MutableMapping
from functools import partial
from typing import Any

from modelkeep.access import NOTHING, Permission, Rights, site_of
from modelkeep.app import Admitted, App
from modelkeep.core.errors import DomainError, EndpointNotFound, InvalidInput, Unauthenticated
from modelkeep.core.types import DEFAULT_WORKSPACE, Actor, Caller
from modelkeep.db import Tx
from modelkeep.faces.access_log import AccessLog
from modelkeep.faces.admission import caller_after, is_free, stands
from modelkeep.faces.admission import run as run_decided
from modelkeep.faces.browser import check_page, session_secret, without_window
from modelkeep.faces.guard import Guard
from modelkeep.faces.headers import Header, common_headers
from modelkeep.faces.operations import Exchange, Face, Mode, Operation, Public, Reply, Signed
from modelkeep.faces.pace import Pace, Room, Turns
from modelkeep.faces.proxies import SCHEME, Proxies
from modelkeep.faces.refusals import Refusals, Tried
from modelkeep.faces.request import ClientGone, Receive, Request
from modelkeep.faces.routing import Router, decode, query_fields
from modelkeep.faces.sending import BODY_PIECES, Send, Sender

_log = logging.getLogger("modelkeep")
_READ_METHODS = {"GET", "HEAD"}
# In the log only: what proxies write for a client that did not wait for its answer.
_CLIENT_GONE = 499
_SINGLE = {b"host", b"content-length", b"authorization", b"x-mlflow-workspace", b"cookie", b"x-csrf-token"}
# What changes who may do what: from the next request on, everybody is looked up again.
_CHANGE_RIGHTS = {
    Permission.USER_MANAGE,
    Permission.GROUP_MANAGE,
    Permission.TOKEN_MANAGE,
    Permission.ROLE_MANAGE,
    Permission.WORKSPACE_CREATE,
    Permission.SELF,
}
_NOBODY = Actor("", "public")
# What a stranger's address may have of work that is done before it is known who asks: a second, and at once.
_RATION, _RATION_AT_ONCE = 5.0, 100
# Whoever takes longer to send a body is looked up again at its end: it may have been coming for hours.
_ADMITTED_FOR_S = 0.1
_MOST_OF_BODIES = 64 * 1024 * 1024
# Ids of requests are told apart by them and keep no secret; the system's randomness would cost a call of it each.
_random_bits = random.Random().getrandbits  # noqa: S311


class HttpFace:
    """The ASGI application over a table of operations. `default_face` words the refusals that no operation owns."""

    def __init__(self, app: App, operations: Iterable[Operation], default_face: Face, log: AccessLog) -> None:
        self._app = app
        self._router = Router(operations)
        self._guard = Guard(app.settings.hosts)
        self._proxies = Proxies(app.settings.trusted_proxies)
        self._pace = Pace(app.settings.rate_limit, app.settings.rate_burst)
        # An address of many people or jobs has them all come at once; none has them come like this for long.
        self._rations = Pace(min(app.settings.rate_limit, _RATION), min(app.settings.rate_burst, _RATION_AT_ONCE))
        self._room = Room(_MOST_OF_BODIES)
        # A quarter of those that read is left to others, whatever one caller asks for.
        self._turns = Turns(max(1, app.database.readers * 3 // 4))
        self.common_headers = common_headers(app.settings)
        self._sender = Sender(self.common_headers)
        self._default_face = default_face
        self._refusals = Refusals(app)
        self._log = log

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        request = self._request(scope, receive)
        self._log.in_progress += 1
        status, broken = _CLIENT_GONE, False
        try:
            reply = await self._reply(request)
            status = reply.status
            await self._sender.send(scope, send, request, reply)
        except (ClientGone, asyncio.CancelledError):
            status = _CLIENT_GONE
            _log.info("client gone", extra={"fields": {"request_id": request.id}})
        except Exception as error:
            # The status is out. All that can still be said is that this is not the whole body: the web server closes
            # the connection when it sees that we return without the rest.
            broken = True
            _log_broken_off(error, request.id)
        finally:
            self._log.in_progress -= 1
            self._log.record(
                operation=request.operation.name if request.operation else "none",
                method=request.method,
                path=request.raw_path.decode("latin-1"),
                status=status,
                seconds=time.perf_counter() - started,
                who=request.who,
                request_id=request.id,
                broken_off=broken,
            )

    def _request(self, scope: MutableMapping[str, Any], receive: Receive) -> Request:
        headers = _headers(scope["headers"])
        address, by_https = self._proxies.origin((scope.get("client") or ("",))[0], scope["headers"])
        if by_https:
            headers[SCHEME] = b"https"
        raw_path = scope.get("raw_path") or scope["path"].encode()
        take = scope.get("extensions", {}).get(BODY_PIECES, {}).get("take")
        return Request(
            f"{_random_bits(64):016x}",
            scope["method"],
            raw_path,
            scope["query_string"],
            headers,
            receive,
            take,
            address,
        )

    async def _reply(self, request: Request) -> Reply:
        face = self._default_face
        try:
            self._guard.check(request.headers, request.raw_path, request.query)
            operation, fields = self._find(request)
            request.operation = operation
            face = operation.face
            return await self._run(operation, fields, request)
        except DomainError as error:
            name = request.operation.name if request.operation else "none"
            await self._refusals.note(error, request.address, request.caller, request.tried, name)
            return without_window(request.headers, face.refuse(error, request.id))
        except ClientGone:
            raise
        except Exception:
            _log.exception("request failed", extra={"fields": {"request_id": request.id}})
            return face.fail(request.id)

    def _find(self, request: Request) -> tuple[Operation, dict[str, str]]:
        found = self._router.find(request.method, request.raw_path)
        if found is None:
            raise EndpointNotFound(f"No operation answers {request.method} here.")
        return found

    async def _run(self, operation: Operation, path_fields: dict[str, str], request: Request) -> Reply:
        admitted = await self._admit(operation, request)
        fields: dict[str, Any] = query_fields(request.query) if request.query else {}
        if clash := fields.keys() & path_fields.keys():
            raise InvalidInput(f"Parameter '{min(clash)}' stands in the path and in the query.", min(clash))
        fields.update(path_fields)
        if operation.mode is Mode.STREAM:
            typed = operation.face.parse(operation, fields, b"", request.headers)
            request.tried = Tried(operation, admitted, typed)
            await self._ration(operation, typed, request)
            exchange = await self._exchange(operation, admitted, typed, request)
            answer = await operation.run(exchange)
            return answer if isinstance(answer, Reply) else operation.face.render(operation, answer)
        body = b"" if request.method in _READ_METHODS else await self._body(operation, admitted, request)
        admitted = await self._admitted_still(operation, admitted, request)
        typed = operation.face.parse(operation, fields, body, request.headers)
        request.tried = Tried(operation, admitted, typed)
        if operation.mode is Mode.STEPS:
            await self._ration(operation, typed, request)
            exchange = await self._exchange(operation, admitted, typed, request)
            answer = await operation.run(exchange)
        else:
            answer = await self._use_case(operation, admitted, typed)
        if operation.permission in _CHANGE_RIGHTS and request.method not in _READ_METHODS:
            self._app.forget_rights()
        await self._refusals.note_unsaid(request.tried)
        return operation.face.render(operation, answer)

    async def _admit(self, operation: Operation, request: Request) -> Admitted:
        """Who calls, in which workspace, and what they may do."""
        if isinstance(operation.permission, Public):
            await self._keep_pace(_NOBODY, request)
            return Admitted(Caller(_NOBODY, request_id=request.id, address=request.address), NOTHING)
        if isinstance(operation.permission, Signed):
            admitted = await self._linked(request)
            await self._keep_pace(admitted.caller.actor, request)
        else:
            try:
                actor = await self._actor(request)
            except Unauthenticated:
                await self._keep_pace(_NOBODY, request)
                raise
            await self._keep_pace(actor, request)
            admitted = await self._at_work(actor, request)
        request.who, request.caller = admitted.caller.actor.name, admitted.caller
        request.admitted_at = time.monotonic()
        return admitted

    async def _admitted_still(self, operation: Operation, admitted: Admitted, request: Request) -> Admitted:
        """The same at the end of a body: who took long to send it may have lost a token or a right meanwhile."""
        if isinstance(operation.permission, Public) or time.monotonic() - request.admitted_at < _ADMITTED_FOR_S:
            return admitted
        if isinstance(operation.permission, Signed):
            return await self._linked(request)
        return await self._at_work(await self._actor(request), request)

    async def _check_again(self, operation: Operation, admitted: Admitted, typed: Any, request: Request) -> None:
        """Refuse the end of a body whose sender may no longer do what it is for."""
        now = await self._admitted_still(operation, admitted, request)
        if now is not admitted and not is_free(operation, now, typed):
            await self._app.read_quickly(now.caller, lambda tx: stands(tx, operation, now.rights, typed))

    async def _linked(self, request: Request) -> Admitted:
        """Who calls by a signed link."""
        links = query_fields(request.query).get("link", [""])
        method = "GET" if request.method == "HEAD" else request.method
        place = decode(request.raw_path)
        return await self._app.admit_linked(links[0], method, place, request.id, request.address)

    async def _at_work(self, actor: Actor, request: Request) -> Admitted:
        """Who signed in, in the workspace that the request names."""
        workspace = request.headers.get(b"x-mlflow-workspace", b"").decode("latin-1")
        request.caller = Caller(actor, workspace or DEFAULT_WORKSPACE, request.id, request.address, request.reason)
        return await self._app.admit(actor, workspace, request.id, request.address, request.reason)

    async def _actor(self, request: Request) -> Actor:
        """Who signed in: by the header where there is one, by the cookie of a browser otherwise."""
        authorization = request.headers.get(b"authorization", b"").decode("latin-1")
        secret = "" if authorization or self._app.settings.auth == "none" else session_secret(request.headers)
        if not secret:
            return await self._app.identity.identify(authorization, request.address)
        actor = await self._app.sessions.identify(secret)
        if request.method not in _READ_METHODS:
            check_page(request.headers, secret, self._app.settings)
        return actor

    async def _keep_pace(self, actor: Actor, request: Request) -> None:
        """Let the request wait its turn: that of its caller, or of its address where nobody signed in."""
        if not actor.is_anonymous:
            await self._pace.keep(_who(actor, request))

    async def _body(self, operation: Operation, admitted: Admitted, request: Request) -> bytes:
        """The whole body, within the caller's room."""
        return await request.whole_body(operation.body_limit, self._room, _who(admitted.caller.actor, request))

    async def _ration(self, operation: Operation, typed: Any, request: Request) -> None:
        """Let what strangers may ask for only now and then wait for the turn of their address."""
        if operation.rationed is not None and operation.rationed(typed):
            await self._rations.keep(f"address {site_of(request.address)}")

    async def _exchange(self, operation: Operation, admitted: Admitted, typed: Any, request: Request) -> Exchange:
        caller = admitted.caller
        if not is_free(operation, admitted, typed):
            caller = await self._app.read_quickly(
                caller, lambda tx: caller_after(tx, operation, admitted.rights, typed)
            )
        body = request.chunks(before_end=partial(self._check_again, operation, admitted, typed, request))
        return Exchange(self._app, caller, typed, request.method, request.headers, body)

    async def _use_case(self, operation: Operation, admitted: Admitted, typed: Any) -> Any:
        run, caller = operation.run, admitted.caller
        if not is_free(operation, admitted, typed):
            run = partial(_decided, operation, admitted.rights)
        if operation.mode is Mode.WRITE:
            return await self._app.write(caller, lambda tx: run(tx, typed))
        if operation.mode is Mode.QUICK:
            return await self._app.read_quickly(caller, lambda tx: run(tx, typed))
        if caller.actor.is_anonymous:
            return await self._app.read(caller, lambda tx: run(tx, typed))
        return await self._turns.run(
            caller.actor.id or caller.actor.name, lambda: self._app.read(caller, lambda tx: run(tx, typed))
        )


def _who(actor: Actor, request: Request) -> str:
    """Whose haste or room it is: the caller's, or the address's where nobody signed in."""
    return actor.id or actor.name or f"address {site_of(request.address)}"


def _decided(operation: Operation, rights: Rights, tx: Tx, typed: Any) -> Any:
    return run_decided(tx, operation, rights, typed)


def _log_broken_off(error: Exception, request_id: str) -> None:
    extra = {"fields": {"request_id": request_id}}
    if isinstance(error, DomainError):
        extra["fields"]["problem"] = error.message
        _log.error("answer broken off", extra=extra)
    else:
        _log.exception("answer broken off", extra=extra)


def _headers(pairs: Iterable[Header]) -> dict[bytes, bytes]:
    """Headers by name. Of those that say where, who and how much, a repeated one leaves none that could be believed."""
    headers: dict[bytes, bytes] = {}
    for name, value in pairs:
        if name in headers and name in _SINGLE:
            value = b"?"
        headers[name] = value
    return headers
