"""The hooks in SDKs of the family that openai and anthropic belong to: their base client and their streams.

The hooks sit below every way of calling: ``create``, ``parse``, streams, raw responses, the module's own client.  Four
functions are wrapped, and nothing is ever wrapped that the user is given.

request                  one logical call, retries included: begins, fails, ends when there is no more to come
_process_response_data   sees each decoded response, and each event of a stream
Stream.__init__          a stream gets an iterator that sees its end; it stays the SDK's own stream
APIResponse.close        who reads a raw response by himself is done with it

State: an Sdk's settings, see ``patching``.
"""

from __future__ import annotations

import copy
import functools
import importlib
import weakref
from collections.abc import Iterator
from typing import Any, Callable, Optional
from urllib.parse import urlsplit

import msgspec

from recost._capture.parts import netloc_of
from recost._capture.wrap import Function, Switch, contained
from recost.llm import call_tags
from recost.llm.calls import ATTACHED, LlmCall, Place
from recost.llm.marks import current_mark
from recost.llm.patching import Patchable
from recost.llm.streams import AsyncClosing, AsyncPieces, Closing, Pieces
from recost.tags import current_feature

RAW = "x-stainless-raw-response"
"""The header by which a resource asks its own client for a raw response."""
USAGE_PATHS = frozenset({"/chat/completions", "/completions"})
"""Where a stream says what it used only when asked to."""

Read = Callable[[LlmCall, dict[str, Any]], None]
_EMPTY: dict[str, Any] = {}


class Sdk(Patchable):
    """One package: which of its calls are LLM calls, and how a response says what it used."""

    def __init__(self, name: str, paths: frozenset[str], read: Read) -> None:
        super().__init__(name, f"{name}._base_client")
        self.inject_stream_usage = False
        self._place_by_path = {path: functools.partial(_place_of, path) for path in paths}
        self._read = read

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[tuple[LlmCall, Any, Any]]:
        """The call, and the arguments to go on with; None when it is no LLM call, or part of one that is open."""
        client = args[0]
        options = args[2] if len(args) > 2 else kwargs["options"]
        path = options.url
        place = self._place_by_path.get(path)
        if place is None:
            path = f"/{urlsplit(path).path.lstrip('/')}"  # which the SDK does not ask for
            place = self._place_by_path.get(path)
        if place is None or options.method.lower() != "post":
            return None
        outer = current_mark()
        if outer is not None and outer.is_open and isinstance(outer, LlmCall) and outer.owner is client:
            return None
        extra, body = options.extra_json, options.json_data
        tag, bare = ("", extra) if extra is None else call_tags.take(extra)
        body = body if isinstance(body, dict) else _EMPTY
        call = LlmCall(client, place, body.get("model"), tag or current_feature() or self.default_tag)
        changed = {} if bare is extra else {"extra_json": bare}
        if (
            self.inject_stream_usage
            and call.is_open
            and path in USAGE_PATHS
            and _leaves_usage_open(options, body, bare)
        ):
            asked = {**(body.get("stream_options") or {}), "include_usage": True}
            changed["json_data"] = {**body, "stream_options": asked}
            call.hides_usage = True
        if changed:
            options = _changed(options, changed)
            if len(args) > 2:
                args = (*args[:2], options, *args[3:])
            else:
                kwargs = {**kwargs, "options": options}
        return call, args, kwargs

    def end(self, call: LlmCall, result: Any) -> None:
        """The SDK's function has returned ``result``."""
        if call.is_stream or call.is_over:
            call.returned()
            return
        # Not getattr: what a pydantic model does not have, it looks for in many places before it raises.
        held = getattr(result, "__dict__", _EMPTY)
        response = result if "_content" in held else held.get("http_response")
        if response is None:
            call.complete()
            return
        call.returned()
        if getattr(response, "_content", None) is not None:  # raw, and whole in memory
            self.end_raw(call, response)
        else:  # raw, to be read by the user: whoever parses it tells, or nobody does
            call.attach(response)
            weakref.finalize(response, call.drop)

    def end_raw(self, call: LlmCall, response: Any) -> None:
        """``response`` is whole."""
        contained(self._read_body, call, response.content)
        call.complete()

    def closed_raw(self, response: Any, *, was_read: bool) -> None:
        """The user has closed a raw response, and will read no more of it."""
        call = getattr(response, ATTACHED, None)
        if not isinstance(call, LlmCall) or call.is_stream:  # a stream's own iterator tells
            return
        if getattr(response, "_content", None) is not None:
            self.end_raw(call, response)
        elif was_read:
            call.complete()
        else:
            call.close()

    def saw(self, data: object, response: object) -> None:
        """The SDK has decoded ``data``: a response, or one event of a stream."""
        attached = getattr(response, ATTACHED, None)
        call = current_mark() if attached is None else attached
        if not isinstance(call, LlmCall) or call.is_over or not isinstance(data, dict):
            return
        if attached is None and not call.is_open:
            return
        self._read(call, data)
        if attached is not None and not call.is_stream:
            call.complete()

    def follow(self, stream: Any, *, is_async: bool) -> None:
        """``stream`` is new: see its end."""
        response = stream.response
        attached = getattr(response, ATTACHED, None)
        call = current_mark() if attached is None else attached
        if not isinstance(call, LlmCall) or call.is_over or (attached is None and not call.is_open):
            return
        # Where the SDK makes the iterator at the first use, so do we: what a subclass sets up comes after this.
        lazy = getattr(type(stream), "_iterator", None)
        make = functools.partial(_make, weakref.ref(stream), lazy) if lazy is not None else None
        pieces = (AsyncPieces if is_async else Pieces)(call, None if make else stream._iterator, make)  # noqa: SLF001 - the hook
        vars(stream)["_iterator"] = pieces
        name, closing = ("aclose", AsyncClosing) if is_async else ("close", Closing)
        if isinstance(vars(response).get(name), (Closing, type(None))):
            call.attach(response, **{name: closing(response, pieces)})
        else:  # somebody else's, who will not miss it
            call.attach(response)

    def apply(self) -> None:
        """Wrap what is to be wrapped in the imported package."""
        base = importlib.import_module(self.module)
        streaming = importlib.import_module(f"{self.package}._streaming")
        raw = importlib.import_module(f"{self.package}._response")
        for client, wrap in ((base.SyncAPIClient, _wrap_request), (base.AsyncAPIClient, _wrap_async_request)):
            for owner in _with_own_request(client):
                self.wrap(owner, "request", wrap)
        self.wrap(base.BaseClient, "_process_response_data", _wrap_process)
        self.wrap(streaming.Stream, "__init__", _wrap_stream)
        self.wrap(streaming.AsyncStream, "__init__", _wrap_async_stream)
        self.wrap(raw.APIResponse, "close", _wrap_close)
        self.wrap(raw.AsyncAPIResponse, "close", _wrap_async_close)

    def _read_body(self, call: LlmCall, content: bytes) -> None:
        data = msgspec.json.decode(content)
        if isinstance(data, dict):
            self._read(call, data)


def _with_own_request(client: Any) -> Iterator[Any]:
    """The class, and those below it whose ``request`` somebody has replaced."""
    yield client
    for below in client.__subclasses__():
        for owner in _with_own_request(below):
            if "request" in vars(owner):
                yield owner


def _is_raw(options: Any) -> bool:
    """The user reads the response as it was sent, so nothing can be hidden in it."""
    headers = options.headers
    return isinstance(headers, dict) and any(name.lower() == RAW for name in headers)


def _leaves_usage_open(options: Any, body: dict[str, Any], extra: Any) -> bool:
    if body.get("stream") is not True or _is_raw(options) or (isinstance(extra, dict) and "stream_options" in extra):
        return False
    asked = body.get("stream_options")
    return asked is None or (isinstance(asked, dict) and "include_usage" not in asked)


def _changed(options: Any, changed: dict[str, Any]) -> Any:
    """A copy: options may be used again by whoever made them."""
    options = copy.copy(options)
    for name, value in changed.items():
        setattr(options, name, value)
    return options


def _place_of(path: str, client: Any) -> Place:
    url = urlsplit(str(client.base_url))
    return Place(url.scheme, netloc_of(url.scheme, url.hostname or "", url.port), url.path.rstrip("/") + path)


def _make(stream: Any, lazy: Any) -> Any:
    """The SDK's own iterator, as it would have made it."""
    found = stream()
    return lazy.func(found) if hasattr(lazy, "func") else lazy.__get__(found, type(found))


def _wrap_request(original: Function, sdk: Sdk, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = contained(sdk.begin, args, kwargs) if switch.on else None
        if begun is None:
            return original(*args, **kwargs)
        call, args, kwargs = begun
        with call:
            result = original(*args, **kwargs)
        contained(sdk.end, call, result)
        return result

    return wrapper


def _wrap_async_request(original: Function, sdk: Sdk, switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        begun = contained(sdk.begin, args, kwargs) if switch.on else None
        if begun is None:
            return await original(*args, **kwargs)
        call, args, kwargs = begun
        with call:
            result = await original(*args, **kwargs)
        contained(sdk.end, call, result)
        return result

    return wrapper


def _wrap_process(original: Function, sdk: Sdk, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if switch.on:
            contained(sdk.saw, kwargs.get("data"), kwargs.get("response"))
        return original(*args, **kwargs)

    return wrapper


def _wrap_stream(original: Function, sdk: Sdk, switch: Switch) -> Function:
    return _wrap_init(original, sdk, switch, is_async=False)


def _wrap_async_stream(original: Function, sdk: Sdk, switch: Switch) -> Function:
    return _wrap_init(original, sdk, switch, is_async=True)


def _wrap_init(original: Function, sdk: Sdk, switch: Switch, *, is_async: bool) -> Function:
    follow = functools.partial(sdk.follow, is_async=is_async)

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        if switch.on:
            contained(follow, self)

    return wrapper


def _wrap_close(original: Function, sdk: Sdk, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        was_read = self.http_response.is_closed
        try:
            return original(self, *args, **kwargs)
        finally:
            if switch.on:
                contained(functools.partial(sdk.closed_raw, self.http_response, was_read=was_read))

    return wrapper


def _wrap_async_close(original: Function, sdk: Sdk, switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        was_read = self.http_response.is_closed
        try:
            return await original(self, *args, **kwargs)
        finally:
            if switch.on:
                contained(functools.partial(sdk.closed_raw, self.http_response, was_read=was_read))

    return wrapper
