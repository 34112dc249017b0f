"""FastAPI and Starlette under the real uvicorn: every call delivered, with the template of its route."""

from __future__ import annotations

import json

from websockets.sync.client import connect

from tests.processes.serving import serving, uvicorn
from tests.processes.support import Api, counts, tags, wait_until_idle

PAGES = {
    "/orders/17": "/orders/{order_id}",
    "/invoices/17": "/invoices/{invoice_id}",
    "/shop/berlin/items/lamp": "/shop/{shop}/items/{item}",
    "/tenants/acme/admin/users/ada": "/tenants/{tenant}/admin/users/{user}",
}


def test_every_call_is_delivered_when_the_server_stops_and_says_which_route_made_it(api: Api):
    with serving(*uvicorn("tests.frameworks.fastapi_app:app"), API_URL=api.url) as server:
        told = {path: json.loads(server.get(path)) for path in PAGES}
        assert told == PAGES
        assert server.get("/stream/a") == "/stream/{name}"
        assert server.get("/later/b") == "answered"
        server.get("/nothing/here", status=404)
        with connect(f"ws://{server.address}/rooms/kitchen") as socket:
            for _ in range(3):
                socket.send("hello")
                assert socket.recv() == "/rooms/{room}"
        server.stop()
    assert counts() == {"/async": 7, "/sync": 2}  # by now: the middleware has waited for it
    assert api.calls == 9
    wait_until_idle()
    once = [*PAGES.values(), "/stream/{name}", "/later/{name}"]
    assert tags() == {**dict.fromkeys(once, 1), "/rooms/{room}": 3}
