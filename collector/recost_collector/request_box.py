"""What the command line asks of the leader, and its answers: small files in ``requests/`` of the runtime directory.

    <id>.ask     put there by who asks, and removed by it when it has its answer or has waited long enough
    <id>.answer  put beside it by the leader once what was asked for is done and committed

Both are renamed into place whole.  The folder is there only while somebody asks.  A successor finds what its
predecessor left unanswered: everything that can be asked for may be done twice.  Anything may lie there: what is no
request is removed and logged.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import secrets
import stat
import time
from typing import Annotated, Literal, Optional, TypeVar

import msgspec

from recost.event import UNDECODABLE
from recost.paths import make_private_dir
from recost_collector.spool_place import is_private_dir

FOLDER = "requests"
ASK, ANSWER = ".ask", ".answer"
MAX_BYTES = 1 << 20
MAX_LOOKED_AT = 256
"""Files of the folder that one turn looks at."""
STALE_S = 600.0
"""Nobody waits that long: who asked was killed."""
ID_LENGTH = 16

Want = Literal["flush", "retry", "delete"]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=STALE_S)]

logger = logging.getLogger("recost_collector")


class Request(msgspec.Struct, frozen=True):
    """``retry`` and ``delete`` are about parked windows: all, or those that ``destination`` and ``ids`` leave."""

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


_Read = TypeVar("_Read", Request, Answer)


class RequestBox:
    """The folder of one runtime directory, for both ends."""

    def __init__(self, directory: str) -> None:
        self.path = os.path.join(directory, FOLDER)

    def post(self, request: Request) -> str:
        """For who asks: put a request there. Gives its id. Raises ``OSError``."""
        name = secrets.token_hex(ID_LENGTH // 2)
        make_private_dir(self.path)
        self._write(name + ASK, msgspec.json.encode(request))
        return name

    def answer_to(self, name: str) -> Optional[Answer]:
        """For who asks: None while there is none."""
        return self._read(name + ANSWER, Answer)

    def withdraw(self, name: str) -> None:
        """For who asks: the end. Nothing stays."""
        self._remove(name + ASK, name + ANSWER, f"{name}{ANSWER}~")
        with contextlib.suppress(OSError):  # somebody else asks, too
            os.rmdir(self.path)

    def waiting(self) -> list[str]:
        """For the leader: ids of what is asked for. Looks at a bounded number of files."""
        if not is_private_dir(self.path):
            return []
        try:
            with os.scandir(self.path) as entries:
                names = [entry.name for entry in itertools.islice(entries, MAX_LOOKED_AT)]
        except OSError:  # removed just now
            return []
        asked = [name[: -len(ASK)] for name in names if name.endswith(ASK)]
        return sorted(name for name in asked if _is_id(name) and not self._is_stale(name))

    def request(self, name: str) -> Optional[Request]:
        """For the leader: None, and the file is gone, when it is no request."""
        found = self._read(name + ASK, Request)
        if found is None:
            logger.warning("what lies in the runtime directory is no request, it is removed: %s%s", name, ASK)
            self._remove(name + ASK)
        return found

    def reply(self, name: str, answer: Answer) -> None:
        """For the leader. Never raises: who asked gives up by itself."""
        with contextlib.suppress(OSError):
            self._write(name + ANSWER, msgspec.json.encode(answer))

    def _write(self, name: str, packed: bytes) -> None:
        path = os.path.join(self.path, name)
        fd = os.open(f"{path}~", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(packed)
        os.rename(f"{path}~", path)

    def _read(self, name: str, kind: type[_Read]) -> Optional[_Read]:
        """None: it is not there, or is not of this kind."""
        path = os.path.join(self.path, name)
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
                    return None
                return msgspec.json.decode(file.read(MAX_BYTES), type=kind)
        except (OSError, *UNDECODABLE):
            return None

    def _is_stale(self, name: str) -> bool:
        """Of somebody who was killed: then it goes."""
        try:
            old = time.time() - os.lstat(os.path.join(self.path, name + ASK)).st_mtime > STALE_S
        except OSError:
            return True
        if old:
            self.withdraw(name)
        return old

    def _remove(self, *names: str) -> None:
        for name in names:
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.path, name))


def _is_id(name: str) -> bool:
    return len(name) == ID_LENGTH and all(letter in "0123456789abcdef" for letter in name)
