"""How the parts of a call are read: hosts, sizes, arguments. Objects are looked at, never called or changed."""

from __future__ import annotations

from typing import Any, Optional, cast

from recost._capture.wrap import Args, Kwargs

DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def body_bytes(body: object) -> int:
    """The size of a body that is held whole, as bytes or text. Anything else is a stream: 0, and left alone."""
    if type(body) is bytes:  # the usual one, before the questions
        return len(body)
    if body is None:
        return 0
    kind = type(body)  # isinstance() would ask body.__class__, and a lazy object evaluates itself to answer
    if issubclass(kind, (bytes, bytearray)):
        return len(cast("bytes", body))
    if issubclass(kind, str):
        text = cast("str", body)
        return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return cast("memoryview", body).nbytes if issubclass(kind, memoryview) else 0


def length_bytes(value: Optional[str]) -> int:
    """What a Content-Length says; 0 when there is none, or nonsense."""
    return int(value) if value is not None and value.isdecimal() and len(value) < 19 else 0


def netloc_of(scheme: str, host: str, port: Optional[int]) -> str:
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


def argument(args: Args, kwargs: Kwargs, position: int, name: str) -> Any:
    return args[position] if len(args) > position else kwargs.get(name)
