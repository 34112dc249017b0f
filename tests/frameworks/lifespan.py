"""An ASGI application's life, as a server leads it."""

from __future__ import annotations

from typing import Any, Callable


async def lifespan(application: Any, during: Callable[[], object]) -> None:
    """One of them, from its startup to its shutdown, with ``during`` in between."""
    sent: list[str] = []
    messages = iter(["lifespan.startup", "lifespan.shutdown"])

    async def receive() -> dict[str, str]:
        message = next(messages)
        if message == "lifespan.shutdown":
            assert during()
        return {"type": message}

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    await application({"type": "lifespan", "state": {}}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
