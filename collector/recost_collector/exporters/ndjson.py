"""A local file: a frame is one line, appended exactly once whatever is killed when.

Before the append, the place where the line will be is committed to the *intent*, a small file in the collector's
state directory.  A frame that comes again, because its outcome was not committed, has the intent's key: then the
bytes at that place decide whether it is there.  One intent is enough, for delivery gives the next frame only
after the outcome of the last one was committed.

Intent and file change under the file's lock alone, so a leader that was stopped in between and has lost its
lease cannot come between its successor's two steps.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from typing import Annotated, Optional
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from recost.event import UNDECODABLE
from recost.notice import Notice
from recost.origins import mount_namespace
from recost.paths import make_dirs
from recost.session import Destination
from recost.system import CLOSELY
from recost_collector.exporters import INTENT, WAITING, Frame, Lease, Retry
from recost_collector.exporters.lines import NEWLINE, LineFile, holds
from recost_collector.words import in_words

BUSY_S = 0.5
"""How long an attempt waits for others who write."""
BUSY_RETRY_S = 1.0
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
MAX_OFFSET = 1 << 60
"""No file system has larger files, and none answers a question about them."""

logger = logging.getLogger("recost_collector")


class Intent(msgspec.Struct, frozen=True):
    """Where the line of the frame ``key`` is, or was about to be.

    Not in which inode: the file may have moved aside since, or been saved by an editor, and has the line still.
    """

    key: str
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_OFFSET)]


_decode = msgspec.json.Decoder(Intent).decode  # at import: two couriers must not prepare the type at once


class NdjsonExporter:
    """Appends to ``<directory>/<name>.jsonl``; a full one becomes ``<name>.1.jsonl``.

    Unless that is the file of the project ``<name>.1``: then this one grows on, for moving would destroy the other.
    """

    def __init__(self, destination: Destination, lease: Lease) -> None:
        self._destination = destination
        self._lease = lease
        self._path = _path_of(destination.url)
        self._aside = "{}.1{}".format(*os.path.splitext(self._path))
        self._intent_path = os.path.join(lease.state_dir, f"{destination.id}{INTENT}")
        namesake = Destination("{}.1{}".format(*os.path.splitext(destination.url)), directory=destination.directory)
        self._is_told = False
        self._namesakes_intent_path = os.path.join(lease.state_dir, f"{namesake.id}{INTENT}")

    def export(self, frame: Frame) -> None:
        try:
            self._require_lease()
            self._require_directory()
            with contextlib.closing(self._open()) as file:
                self._require_lease()  # again: from here on nobody else can write
                self._append_once(file, frame.key, frame.body + NEWLINE)
        except BlockingIOError as exc:
            raise self._retry(exc, "another collector writes at this moment", "", BUSY_RETRY_S) from exc
        except (OSError, ValueError) as exc:  # ValueError: a NUL in the path
            raise self._retry(exc, in_words(exc), self._mend(exc)) from exc

    def close(self) -> None:
        """Nothing to do: the file is open during an export only."""

    def _open(self) -> LineFile:
        """Other collectors write for milliseconds each: on some systems every process has one."""
        until = time.monotonic() + BUSY_S
        while True:
            try:
                return LineFile(self._path)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise
            time.sleep(BUSY_S / 100)

    def _append_once(self, file: LineFile, key: str, line: bytes) -> None:
        if self._is_there(key, line):
            return
        if 0 < self._destination.file_max_bytes < file.size() + len(line) and file.size() > 0:
            self._rotate(file)
        self._commit(Intent(key, file.size()))
        file.append(line)

    def _rotate(self, file: LineFile) -> None:
        if not os.path.exists(self._namesakes_intent_path):
            file.rotate(self._aside)
        elif not self._is_told:
            self._is_told = True
            logger.warning("%s is another project's file, %s grows on: rename a project", self._aside, self._path)

    def _is_there(self, key: str, line: bytes) -> bool:
        intent = self._read_intent()
        if intent is None or intent.key != key:
            return False
        return any(holds(path, intent.offset, line) for path in (self._path, self._aside))

    def _read_intent(self) -> Optional[Intent]:
        try:
            with open(self._intent_path, "rb") as file:
                return _decode(file.read())
        except (FileNotFoundError, *UNDECODABLE):  # none, or one that a power cut left unwritten
            return None

    def _commit(self, intent: Intent) -> None:
        new = f"{self._intent_path}.new"
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | CLOSELY, 0o600)
        with open(fd, "wb") as file:
            file.write(msgspec.json.encode(intent))
            file.flush()
            os.fsync(fd)
        os.replace(new, self._intent_path)

    def _require_lease(self) -> None:
        if not self._lease.held():
            raise Retry(Notice("undelivered", "this collector leads no longer; its successor delivers"), BUSY_RETRY_S)

    def _require_directory(self) -> None:
        """Make the directory, or, where the worker lives in another mount namespace, find the very one it has."""
        if not os.path.isabs(self._path):
            raise OSError(errno.EINVAL, "no absolute path", self._path)
        directory = os.path.dirname(self._path)
        if not self._is_elsewhere():
            make_dirs(directory)
            return
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            status = os.stat(directory)
            if (status.st_dev, status.st_ino) == self._destination.directory:
                return
        text = "the collector runs in another container and does not see this directory; mount it there at this path"
        raise FileNotFoundError(errno.ENOENT, text, directory)

    def _is_elsewhere(self) -> bool:
        """Whether the worker lives in another mount namespace."""
        return self._destination.mount_namespace not in {0, mount_namespace()}

    def _mend(self, exc: Exception) -> str:
        """What to do, to be added to a text."""
        if self._is_elsewhere():  # the text says it
            return ""
        if getattr(exc, "errno", None) in _NO_ROOM:
            return "; free some space there"
        return "; set RECOST_LOCAL_DIR to a directory of this user, or see what is wrong there"

    def _retry(self, exc: Exception, reason: str, mend: str, after_s: Optional[float] = None) -> Retry:
        filename = getattr(exc, "filename", None)  # the descriptor's number where it was given that
        filename = _as_utf8(filename if isinstance(filename, str) else self._path)
        path = _as_utf8(self._path)
        where = f" ({filename})" if filename not in {path, os.path.dirname(path)} else ""
        notice = Notice(
            "file",
            f"windows cannot be written to {path}: {reason}{where}{WAITING} and are tried again{mend}",
            errno=getattr(exc, "errno", None) or errno.EINVAL,
            filename=filename,
        )
        return Retry(notice, after_s)


def _as_utf8(path: str) -> str:
    """A notice is UTF-8, a path need not be."""
    return os.fsencode(path).decode(errors="backslashreplace")


def _path_of(url: str) -> str:
    path = os.fsdecode(unquote_to_bytes(urlsplit(url).path))
    return path[1:] if os.path.splitdrive(path[1:])[0] else path  # /C:/x is C:/x, where there are drives


def open_exporter(destination: Destination, lease: Lease) -> NdjsonExporter:
    return NdjsonExporter(destination, lease)
