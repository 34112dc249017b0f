"""What the exporters' tests share: frames, a lease, destinations, a raw server, certificates."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from recost.session import Destination
from recost_collector.exporters import Frame, Retry

KEY = "rc-0123456789abcdef"
_numbers = itertools.count(1)


class StubLease:
    """A lease that the test holds or loses; ``on_ask`` runs at each question."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self.state_dir = str(state_dir)
        self.answers = itertools.repeat(True)

    def held(self) -> bool:
        return next(self.answers)


def make_frame(body: bytes = b"", key: str = "", api_key: str = KEY) -> Frame:
    """A frame with a body of its own: a small window, or ``body``."""
    number = next(_numbers)
    window = {"protocolVersion": "1.0", "metrics": [], "number": number}
    return Frame(key or f"frame-{number}", body or msgspec.json.encode(window), "9.8.7", api_key)


def file_destination(path: Path, **more) -> Destination:
    return Destination(url=path.as_uri(), project_id=path.stem, **more)


def cloud_destination(base_url: str, **more) -> Destination:
    return Destination(url=f"{base_url}/projects/shop/telemetry", project_id="shop", **more)


def lines_of(*paths: Path) -> list[bytes]:
    """Every line of these files, as far as they are there. The last one is whole, or this fails."""
    content = b"".join(path.read_bytes() for path in paths if path.exists())
    assert content.endswith(b"\n") or not content
    return content.splitlines()


def outcome_of(export: Callable[[Frame], None], frame: Frame) -> BaseException | None:
    """What ``export`` raised, None when it delivered."""
    try:
        export(frame)
    except Exception as exc:  # noqa: BLE001 - the test says which it may be
        return exc
    return None


def retry_of(export: Callable[[Frame], None], frame: Frame) -> Retry:
    outcome = outcome_of(export, frame)
    assert isinstance(outcome, Retry), repr(outcome)
    return outcome


@contextlib.contextmanager
def raw_server(*answers: Callable[[socket.socket], object]) -> Iterator[str]:
    """A base URL whose n-th connection is handled by the n-th of ``answers``, the rest by the last."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def serve() -> None:
        for number in itertools.count():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                if closing.is_set():
                    return
                with contextlib.suppress(OSError):  # a client that gave up
                    answers[min(number, len(answers) - 1)](connection)

    thread = threading.Thread(target=serve)
    thread.start()
    host, port = listener.getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        closing.set()
        socket.create_connection((host, port)).close()  # wakes the accept, which closing would not
        thread.join()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    """One request, its body by Content-Length; empty when the client closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer_with(response: bytes) -> Callable[[socket.socket], None]:
    """Answers each request on the connection with ``response``."""

    def serve(connection: socket.socket) -> None:
        while read_request(connection):
            connection.sendall(response)

    return serve


def make_certificates(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path, Path]:
    """A private CA and a certificate of it for ``address``: the CA's, the server's, the server's key."""
    ca, ca_key, cert, key = (folder / name for name in ("ca.pem", "ca.key", "cert.pem", "key.pem"))
    request, extensions = folder / "request.pem", folder / "extensions"
    extensions.write_text(
        f"subjectAltName=IP:{address}\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n"
    )
    new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=test"
    commands = [
        f"{new} -x509 -days 2 -addext keyUsage=critical,keyCertSign,cRLSign -keyout {ca_key} -out {ca}",
        f"{new} -keyout {key} -out {request}",
        f"x509 -req -in {request} -CA {ca} -CAkey {ca_key} -CAcreateserial -days 2 -extfile {extensions} -out {cert}",
    ]
    for command in commands:
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True, timeout=30)
    return ca, cert, key
