"""What the command line asks of the leader, and its answers: small files in ``requests/`` of the runtime directory.

    <id>.ask     put there by who asks, and removed by it when it has its answer or has waited long enough
    <id>.answer  put beside it by the leader once what was asked for is done and committed

Both are renamed into place whole.  The folder is there only while somebody asks.  A successor finds what its
predecessor left unanswered: everything that can be asked for may be done twice.  Anything may lie there: what is named
like these and is no request, or is older than anybody waits, is removed.  Files of other names are left alone.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import re
import secrets
import stat
import time
from typing import Annotated, Literal, Optional, TypeVar

import msgspec

from recost.event import UNDECODABLE
from recost.paths import make_private_dir
from recost.system import AT_ONCE, CLOSELY
from recost_collector.live import Watched
from recost_collector.spool_place import is_private_dir

FOLDER = "requests"
ASK, ANSWER = ".ask", ".answer"
MAX_BYTES = 1 << 20
MAX_LOOKED_AT = 4096
"""Names in the folder that one turn looks at; no more than a handful are ever ours."""
POST_TRIES = 100
MOST_SECONDS = 600.0
STALE_S = MOST_SECONDS + 60.0
"""Nobody waits that long: who asked was killed."""
ID_LENGTH = 16
OURS = re.compile(r"[0-9a-f]{16}\.(ask|answer)~?")

Want = Literal["flush", "retry", "delete", "delete_waiting", "watch"]
DELETES = ("delete", "delete_waiting")
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=MOST_SECONDS)]

logger = logging.getLogger("recost_collector")


class Request(msgspec.Struct, frozen=True):
    """``watch`` wants figures; ``retry``, ``delete`` parked windows: all, or those that the filters leave;
    ``delete_waiting`` the same of those that wait.
    """

    want: Want
    timeout_s: _Seconds = 5.0
    """The answer says how far it got by then."""
    destination: str = ""
    """A part of its URL."""
    ids: frozenset[int] = frozenset()


class Outcome(msgspec.Struct):
    """How it stands at one destination. ``delivered`` counts from the request on."""

    destination: str
    delivered: int = 0
    waiting: int = 0
    parked: int = 0
    retried: int = 0
    deleted: int = 0
    why: str = ""
    """Why windows wait or are parked; empty when none are."""


class Answer(msgspec.Struct):
    outcomes: list[Outcome] = []
    is_done: bool = True
    """False: the time was up before."""
    trouble: str = ""
    """What keeps the collector from doing it."""
    watched: Optional[Watched] = None


_Read = TypeVar("_Read", Request, Answer)


class RequestBox:
    """The folder of one runtime directory, for both ends."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, FOLDER)

    def post(self, request: Request) -> str:
        """For who asks: put a request there. Gives its id. Raises ``OSError``."""
        name = secrets.token_hex(ID_LENGTH // 2)
        packed = msgspec.json.encode(request)
        for tries_left in reversed(range(POST_TRIES)):
            try:
                make_private_dir(self.path)
                self._write(name + ASK, packed)
                break
            except FileNotFoundError:  # somebody who has just got an answer took the folder away
                if not tries_left:
                    raise
        return name

    def answer_to(self, name: str) -> Optional[Answer]:
        """For who asks: None while there is none."""
        return self._read(name + ANSWER, Answer)

    def withdraw(self, name: str) -> None:
        """For who asks: the end. Nothing stays."""
        self._remove(name + ASK, f"{name}{ASK}~", name + ANSWER, f"{name}{ANSWER}~")

    def waiting(self) -> list[str]:
        """For the leader: ids of what is asked for. What killed processes have left goes. A bounded amount of work."""
        if not is_private_dir(self.path):
            return []
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in itertools.islice(entries, MAX_LOOKED_AT)]
        except OSError:  # removed just now
            return []
        fresh = [name for name in names if OURS.fullmatch(name) and not self._is_stale(name)]
        return sorted(name[:ID_LENGTH] for name in fresh if name.endswith(ASK))

    def request(self, name: str) -> Optional[Request]:
        """For the leader: None, and the file is gone, when it is no request."""
        found = self._read(name + ASK, Request)
        if found is None and os.path.lexists(os.path.join(self.path, name + ASK)):  # else it was withdrawn just now
            logger.warning("what lies in the runtime directory is no request, it goes: %s%s", name, ASK)
            self._remove(name + ASK)
        return found

    def reply(self, name: str, answer: Answer) -> None:
        """For the leader. Never raises: who asked gives up by itself."""
        with contextlib.suppress(OSError):
            self._write(name + ANSWER, msgspec.json.encode(answer))
            if not os.path.lexists(os.path.join(self.path, name + ASK)):  # withdrawn meanwhile
                self._remove(name + ANSWER)

    def _write(self, name: str, packed: bytes) -> None:
        path = os.path.join(self.path, name)
        fd = os.open(f"{path}~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
        with open(fd, "wb") as file:
            file.write(packed)
        os.replace(f"{path}~", path)

    def _read(self, name: str, kind: type[_Read]) -> Optional[_Read]:
        """None: it is not there, or is not of this kind."""
        path = os.path.join(self.path, name)
        with contextlib.suppress(OSError, *UNDECODABLE):
            fd = os.open(path, os.O_RDONLY | CLOSELY | AT_ONCE)
            try:
                found = os.fstat(fd)
                if stat.S_ISREG(found.st_mode) and found.st_size <= MAX_BYTES:
                    return msgspec.json.decode(os.read(fd, MAX_BYTES), type=kind)
            finally:
                os.close(fd)
        return None

    def _is_stale(self, name: str) -> bool:
        """Of somebody who was killed: then it goes."""
        try:
            old = time.time() - os.lstat(os.path.join(self.path, name)).st_mtime > STALE_S
        except OSError:
            return True
        if old:
            self._remove(name)
        return old

    def _remove(self, *names: str) -> None:
        """These files, and the folder with the last one."""
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.path, name))
        with contextlib.suppress(OSError):  # somebody else asks, too
            os.rmdir(self.path)
