"""A stranger's first program, with nothing but recost and urllib3: a few calls, and whether they count."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import urllib3

import recost


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    recost.init(project_id="stranger")
    with urllib3.PoolManager() as pools:
        for number in range(3):
            pools.request("GET", f"http://127.0.0.2:{server.server_port}/orders/{number}")
    print("captured by", recost.__file__, "settled:", recost.flush(60))


if __name__ == "__main__":
    main()
