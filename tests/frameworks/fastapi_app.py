"""Each route makes one call and answers with what recost takes for its origin."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import httpx
import urllib3
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import PlainTextResponse, StreamingResponse

from recost.frameworks.fastapi import RecostMiddleware
from recost.tags import current_origin

API = os.environ["API_URL"]

app = FastAPI()
router = APIRouter()
admin = FastAPI()


async def call_async() -> str:
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"{API}/async")).status_code == 200
    return current_origin()


def call_sync() -> str:
    with urllib3.PoolManager() as pools:
        assert pools.request("GET", f"{API}/sync").status == 200
    return current_origin()


@app.get("/orders/{order_id}")
async def order(order_id: int) -> str:
    return await call_async()


@app.get("/invoices/{invoice_id}")
def invoice(invoice_id: int) -> str:
    """In a thread of the server's."""
    return call_sync()


@router.get("/items/{item}")
async def item(item: str) -> str:
    return await call_async()


@admin.get("/users/{user}")
async def user(user: str) -> str:
    return await call_async()


@app.get("/stream/{name}")
async def stream(name: str) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        yield await call_async()

    return StreamingResponse(body())


@app.get("/later/{name}")
async def later(name: str, background: BackgroundTasks) -> PlainTextResponse:
    """Its call is made when it has answered."""
    background.add_task(call_sync)
    return PlainTextResponse("answered", background=background)


@app.websocket("/rooms/{room}")
async def talk(socket: WebSocket, room: str) -> None:
    await socket.accept()
    async for _ in socket.iter_text():
        await socket.send_text(await call_async())


app.include_router(router, prefix="/shop/{shop}")
app.mount("/tenants/{tenant}/admin", admin)
app.add_middleware(RecostMiddleware, route_tags=True, flush_interval_ms=60_000)
