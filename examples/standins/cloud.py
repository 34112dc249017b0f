"""The recost service, as far as recost and its users know it: windows in by POST, and the two questions about them.

Answers can be scripted, so that each row of what an SDK does about a bad answer can be seen or tested.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Optional, Union

from examples.standins.server import Answer, Request, StandIn, json_answer

HELD_POLL_S = 0.01
_TOTALS = ("requestCount", "errorCount", "estimatedCostCents")


class Scripted(NamedTuple):
    """An answer to one POST in place of the usual one. ``status`` None: the usual one, but when this says."""

    status: Optional[int] = None
    retry_after: Optional[str] = None
    """The header's value: seconds or an HTTP date."""
    delay_s: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    until: Optional[threading.Event] = None
    """It is held back until this is set."""


Script = Callable[["Received"], Union[Scripted, int, None]]


class Received(NamedTuple):
    """One POST of a window, whatever it was answered."""

    at_s: float
    """``time.time()`` when the request was whole."""
    project_id: str
    key: str
    """Its ``Idempotency-Key``."""
    authorization: str
    headers: dict[str, str]
    body: bytes
    status: int = 0
    """What it was answered."""
    stored: bool = False
    """Whether its window was new and was taken."""

    @property
    def window(self) -> Any:
        return json.loads(self.body)


class CloudStandIn(StandIn):
    """Takes windows of any project from whoever has one of ``keys``; a key of a frame counts once per project.

    ``answers`` are used up one by one before anything else; ``script``, while set, is asked next.  Both say how
    a POST is answered: a status, a ``Scripted``, or None for the usual.  ``stop()`` refuses connections, ``start()``
    accepts them again at the same address, with all that was received.
    """

    def __init__(
        self,
        keys: Iterable[str] = ("rc-stand-in",),
        host: str = "127.0.0.1",
        port: int = 0,
        tls: Optional[ssl.SSLContext] = None,
    ) -> None:
        super().__init__(self._answer, [(host, port)], tls)
        self._scheme = "https" if tls else "http"
        self.keys = set(keys)
        self.answers: deque[Union[Scripted, int, None]] = deque()
        self.script: Optional[Script] = None
        self.received: list[Received] = []
        """In order of arrival. Appended to by the server's thread."""

    @property
    def url(self) -> str:
        """What goes into ``base_url``."""
        host, port = self.addresses[0]
        return f"{self._scheme}://{host}:{port}"

    def unique_windows(self, project_id: Optional[str] = None) -> list[Any]:
        """The windows that were taken, in order, each once; of one project or of all."""
        return [r.window for r in list(self.received) if r.stored and project_id in {None, r.project_id}]

    def calls(self, project_id: Optional[str] = None) -> int:
        """How many calls the windows taken account for."""
        return sum(m["requestCount"] for window in self.unique_windows(project_id) for m in window["metrics"])

    async def _answer(self, request: Request) -> Answer:
        answer = await self._route(request)
        return answer._replace(headers={"x-request-id": f"req-{len(self.received)}", **answer.headers})

    async def _route(self, request: Request) -> Answer:
        parts = request.path.strip("/").split("/")
        if len(parts) < 3 or parts[0] != "projects":
            return json_answer({"error": "not found"}, 404)
        project_id, what = parts[1], "/".join(parts[2:])
        if (request.method, what) == ("POST", "telemetry"):
            return await self._take(request, project_id)
        if self._refused(request):
            return json_answer({"error": "unknown key"}, 401)
        if (request.method, what) == ("GET", "telemetry/recent"):
            limit = int(request.query.get("limit", ["10"])[0])
            return json_answer({"windows": self.unique_windows(project_id)[::-1][:limit]})
        if (request.method, what) == ("GET", "analytics"):
            return json_answer(self._analytics(request, project_id))
        return json_answer({"error": "not found"}, 404)

    async def _take(self, request: Request, project_id: str) -> Answer:
        headers = dict(request.headers)
        key, authorization = headers.get("idempotency-key", ""), headers.get("authorization", "")
        received = Received(time.time(), project_id, key, authorization, headers, request.body)
        scripted = self._scripted(received)
        status = scripted.status or self._judge(request, received)
        new = status < 300 and not any(r.stored and r[1:3] == received[1:3] for r in self.received)
        self.received.append(received._replace(status=status, stored=new))
        await asyncio.sleep(scripted.delay_s)
        while scripted.until is not None and not scripted.until.is_set():  # noqa: ASYNC110 - another thread sets it
            await asyncio.sleep(HELD_POLL_S)
        extra = dict(scripted.headers)
        if scripted.retry_after is not None:
            extra["Retry-After"] = scripted.retry_after
        if scripted.body:
            return Answer(status, scripted.body, extra)
        return json_answer({"accepted": status < 300, "duplicate": status < 300 and not new}, status, extra)

    def _scripted(self, received: Received) -> Scripted:
        wanted = self.answers.popleft() if self.answers else self.script(received) if self.script else None
        return wanted if isinstance(wanted, Scripted) else Scripted(wanted)

    def _judge(self, request: Request, received: Received) -> int:
        if self._refused(request):
            return 401
        try:
            window = received.window
            known = window["protocolVersion"].partition(".")[0] == "1" and isinstance(window["metrics"], list)
        except (ValueError, KeyError, TypeError, AttributeError):
            return 422
        return 202 if known and received.key else 422

    def _refused(self, request: Request) -> bool:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        return scheme != "Bearer" or key not in self.keys

    def _analytics(self, request: Request, project_id: str) -> dict[str, Any]:
        """Totals by provider of the windows that lie between ``from`` and ``to``; ISO times in UTC compare as text."""
        begin, end = (request.query.get(name, [""])[0] for name in ("from", "to"))
        providers: dict[str, dict[str, float]] = {}
        for window in self.unique_windows(project_id):
            if window["windowStart"] < begin or (end and window["windowEnd"] > end):
                continue
            for metric in window["metrics"]:
                totals = providers.setdefault(metric["provider"], dict.fromkeys(_TOTALS, 0))
                for name in _TOTALS:
                    totals[name] += metric[name]
        return {"from": begin, "to": end, "providers": providers}
