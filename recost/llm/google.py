"""google-genai from 1.40: content and embeddings, plain and streamed, sync and async.

The hooks are in the functions that make one billed call each: with automatic function calling one call of the user's
makes several of them.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any
from urllib.parse import urlsplit

from recost._capture.parts import netloc_of
from recost._capture.wrap import Function, Switch, contained
from recost.llm import call_tags
from recost.llm.call_tags import DEFAULT_TAG
from recost.llm.calls import LlmCall, Place
from recost.llm.patching import Patchable, patch, unpatch
from recost.tags import current_feature

_NO_MORE = object()


def patch_google(default_feature_tag: str = DEFAULT_TAG) -> None:
    """Count every call of google-genai for content or embeddings at its true cost, sync and async.

    May come before or after the package's import and ``recost.init()``; called again, the new tag counts.  A call's own
    tag goes in as ``config={"http_options": {"extra_body": {"recost_feature_tag": "…"}}}`` and is not sent.
    ``ImportError`` without the package.  Do not ``track()`` the same calls.
    """
    patch(GOOGLE, default_feature_tag, "google-genai")


def unpatch_google() -> None:
    """Undo ``patch_google``."""
    unpatch(GOOGLE)


class _Google(Patchable):
    def __init__(self) -> None:
        super().__init__("google.genai", "google.genai.models")

    def apply(self) -> None:
        module = importlib.import_module(self.module)
        for owner, wrap, wrap_stream in (
            (module.Models, _wrap_function, _wrap_stream),
            (module.AsyncModels, _wrap_coroutine, _wrap_async_stream),
        ):
            self.wrap(owner, "_generate_content", wrap)
            self.wrap(owner, "_generate_content_stream", wrap_stream)
            embed = "_embed_content" if "_embed_content" in vars(owner) else "embed_content"  # before 1.50 or so
            self.wrap(owner, embed, wrap)

    def begin(self, models: Any, kwargs: dict[str, Any]) -> tuple[LlmCall, dict[str, Any]]:
        """The call, and the arguments to go on with."""
        asked = kwargs.get("model")
        model = asked.rpartition("/")[2] if isinstance(asked, str) else asked
        tag, config = _take_tag(kwargs.get("config"))
        call = LlmCall(models, _place_of, model, tag or current_feature() or self.default_tag)
        return call, kwargs if config is None else {**kwargs, "config": config}


def _place_of(models: Any) -> Place:
    url = urlsplit(str(models._api_client._http_options.base_url))  # noqa: SLF001 - nothing public says it
    return Place(url.scheme, netloc_of(url.scheme, url.hostname or "", url.port), f"{url.path.rstrip('/')}/models")


def _take_tag(config: Any) -> tuple[str, Any]:
    """The tag in ``config``, and a copy without it; None where there was none."""
    options = _field(config, "http_options")
    body = _field(options, "extra_body")
    tag, bare = call_tags.take(body)
    return tag, None if bare is body else _with(config, "http_options", _with(options, "extra_body", bare))


def _field(holder: Any, name: str) -> Any:
    return holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)


def _with(holder: Any, name: str, value: Any) -> Any:
    return {**holder, name: value} if isinstance(holder, dict) else holder.model_copy(update={name: value})


def _read(call: LlmCall, response: Any) -> None:
    call.read(getattr(response, "usage_metadata", None), getattr(response, "model_version", None), None)


def _read_piece(call: LlmCall, piece: Any) -> None:
    _read(call, piece)
    if getattr(piece, "candidates", None):
        call.token()
    call.handed_on()


def _end(call: LlmCall, response: Any) -> None:
    contained(_read, call, response)
    call.complete()


def _wrap_function(original: Function, google: _Google, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = contained(google.begin, self, kwargs) if switch.on else None
        if begun is None:
            return original(self, *args, **kwargs)
        call, kwargs = begun
        with call:
            response = original(self, *args, **kwargs)
        contained(_end, call, response)
        return response

    return wrapper


def _wrap_coroutine(original: Function, google: _Google, switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = contained(google.begin, self, kwargs) if switch.on else None
        if begun is None:
            return await original(self, *args, **kwargs)
        call, kwargs = begun
        with call:
            response = await original(self, *args, **kwargs)
        contained(_end, call, response)
        return response

    return wrapper


def _wrap_stream(original: Function, google: _Google, switch: Switch) -> Function:
    """The SDK's is a generator, so this gives one, too; the request goes out with its first step."""

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = contained(google.begin, self, kwargs) if switch.on else None
        if begun is None:
            return original(self, *args, **kwargs)
        call, kwargs = begun
        return _follow(call, original(self, *args, **kwargs))

    return wrapper


def _follow(call: LlmCall, pieces: Any) -> Generator[Any, None, None]:
    while True:
        with call:
            piece = next(pieces, _NO_MORE)
        if piece is _NO_MORE:
            contained(call.complete)
            return
        contained(_read_piece, call, piece)
        try:
            yield piece
        except GeneratorExit:
            contained(call.close)
            pieces.close()
            raise


def _wrap_async_stream(original: Function, google: _Google, switch: Switch) -> Function:
    """Awaited, the request is out; a generator that nobody begins still was a call."""

    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        begun = contained(google.begin, self, kwargs) if switch.on else None
        if begun is None:
            return await original(self, *args, **kwargs)
        call, kwargs = begun
        with call:
            pieces = await original(self, *args, **kwargs)
        call.returned()
        followed = _follow_async(call, pieces)
        weakref.finalize(followed, call.drop)
        return followed

    return wrapper


async def _follow_async(call: LlmCall, pieces: Any) -> AsyncGenerator[Any, None]:
    try:
        async for piece in pieces:
            contained(_read_piece, call, piece)
            yield piece
    except GeneratorExit:
        contained(call.close)
        await pieces.aclose()
        raise
    except BaseException as error:
        contained(call.fail, error)
        raise
    contained(call.complete)


GOOGLE = _Google()
