"""The hooks in SDKs of the family that openai and anthropic belong to: their base client and their streams.

The hooks sit below every way of calling: ``create``, ``parse``, streams, raw responses, the module's own client.  Three
functions are wrapped, and nothing is ever wrapped that the user is given.

request                  one logical call, retries included: begins, fails, ends when there is no more to come
_process_response_data   sees each decoded response, and each event of a stream
Stream.__init__, close   a stream gets an iterator that sees its end; it stays the SDK's own stream

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

from recost._capture.wrap import Function, Switch, contained, netloc_of
from recost.llm.calls import LlmCall, Place
from recost.llm.marks import current_mark, enter
from recost.llm.patching import DEFAULT_TAG, Patchable
from recost.llm.streams import AsyncPieces, Pieces
from recost.tags import clean, current_feature

TAG_KEYS = ("costara_feature_tag", "recost_feature_tag")
ATTACHED = "_recost_llm_call"
"""Under this name an HTTP response knows the call that it belongs to, until somebody parses it."""
USAGE_PATHS = frozenset({"/chat/completions", "/completions"})
"""Where a stream says what it used only when asked to."""

Read = Callable[[LlmCall, dict[str, Any]], None]


class Sdk(Patchable):
    """One package: which of its calls are LLM calls, and how a response says what it used."""

    def __init__(self, name: str, paths: frozenset[str], read: Read) -> None:
        super().__init__(name, f"{name}._base_client")
        self.inject_stream_usage = False
        self._paths = paths
        self._read = read

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Optional[tuple[LlmCall, Any, Any]]:
        """The call, and the arguments to go on with; None when it is no LLM call, or part of one that is open."""
        client = args[0]
        options = args[2] if len(args) > 2 else kwargs["options"]
        path = urlsplit(options.url).path
        if options.method.lower() != "post" or path not in self._paths:
            return None
        outer = current_mark()
        if isinstance(outer, LlmCall) and outer.is_open and outer.owner == id(client):
            return None
        tag, bare = _take_tag(options.extra_json)
        body = options.json_data if isinstance(options.json_data, dict) else {}
        call = LlmCall(client, _place_of(client, path), body.get("model"), tag or current_feature() or self.default_tag)
        changed = {} if bare is options.extra_json else {"extra_json": bare}
        if self.inject_stream_usage and path in USAGE_PATHS and _leaves_usage_open(body, bare):
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
        call.is_open = False
        response = getattr(result, "http_response", None)
        if call.is_stream or call.is_over:
            return
        if response is None:
            call.finish()
        elif getattr(response, "_content", None) is not None:  # raw, and whole in memory
            contained(self._read_body, call, response.content)
            call.finish()
        else:  # raw, to be read by the user: whoever parses it tells, or nobody does
            setattr(response, ATTACHED, call)
            weakref.finalize(response, call.finish)

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
            call.finish()

    def follow(self, stream: Any, *, is_async: bool) -> None:
        """``stream`` is new: see its end."""
        attached = getattr(stream.response, ATTACHED, None)
        call = current_mark() if attached is None else attached
        if not isinstance(call, LlmCall) or call.is_over or call.is_stream or (attached is None and not call.is_open):
            return
        if attached is None:
            setattr(stream.response, ATTACHED, call)
        # Where the SDK makes the iterator at the first use, so do we: what a subclass sets up comes after this.
        lazy = getattr(type(stream), "_iterator", None)
        make = functools.partial(_make, weakref.ref(stream), lazy) if lazy is not None else None
        pieces = (AsyncPieces if is_async else Pieces)(call, None if make else stream._iterator, make)  # noqa: SLF001 - the hook
        call.is_stream = True
        vars(stream)["_iterator"] = pieces

    def apply(self) -> None:
        """Wrap what is to be wrapped in the imported package."""
        base = importlib.import_module(self.module)
        streaming = importlib.import_module(f"{self.package}._streaming")
        for client, wrap in ((base.SyncAPIClient, _wrap_request), (base.AsyncAPIClient, _wrap_async_request)):
            for owner in _with_own_request(client):
                self.wrap(owner, "request", wrap)
        self.wrap(base.BaseClient, "_process_response_data", _wrap_process)
        for stream, wrap, wrap_close in (
            (streaming.Stream, _wrap_stream, _wrap_close),
            (streaming.AsyncStream, _wrap_async_stream, _wrap_async_close),
        ):
            self.wrap(stream, "__init__", wrap)
            self.wrap(stream, "close", wrap_close)

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


def _take_tag(extra: Any) -> tuple[str, Any]:
    """The tag in ``extra_body``, and that without it; the user's own dict stays as it is."""
    if not isinstance(extra, dict) or not any(key in extra for key in TAG_KEYS):
        return "", extra
    given = next((extra[key] for key in TAG_KEYS if isinstance(extra.get(key), str)), "")
    tag = clean(given)
    return "" if tag == DEFAULT_TAG else tag, {
        key: value for key, value in extra.items() if key not in TAG_KEYS
    } or None


def _leaves_usage_open(body: dict[str, Any], extra: Any) -> bool:
    if body.get("stream") is not True or (isinstance(extra, dict) and "stream_options" in extra):
        return False
    asked = body.get("stream_options")
    return asked is None or (isinstance(asked, dict) and "include_usage" not in asked)


def _changed(options: Any, changed: dict[str, Any]) -> Any:
    """A copy: options may be used again by whoever made them."""
    options = copy.copy(options)
    for name, value in changed.items():
        setattr(options, name, value)
    return options


def _place_of(client: Any, path: str) -> Place:
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
        outer = current_mark()
        enter(call)
        try:
            result = original(*args, **kwargs)
        except BaseException:
            contained(call.finish_failed)
            raise
        finally:
            enter(outer)
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
        outer = current_mark()
        enter(call)
        try:
            result = await original(*args, **kwargs)
        except BaseException:
            contained(call.finish_failed)
            raise
        finally:
            enter(outer)
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


def _wrap_close(original: Function, _sdk: Sdk, _switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            contained(_closed, self)

    return wrapper


def _wrap_async_close(original: Function, _sdk: Sdk, _switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            contained(_closed, self)

    return wrapper


def _closed(stream: Any) -> None:
    pieces = vars(stream).get("_iterator")
    if isinstance(pieces, (Pieces, AsyncPieces)):
        pieces.call.finish()
