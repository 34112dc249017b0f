"""What is left of a request's origin on the thread that served it."""

from __future__ import annotations

from recost.tags import current_origin


class LooksAfter:
    """A WSGI application around another, on the same threads: it answers ``/after`` with the origin it finds."""

    def __init__(self, inner) -> None:
        self.inner = inner

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/after":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [repr(current_origin()).encode()]
        return self.inner(environ, start_response)
