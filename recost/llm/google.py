"""google-genai from 1.40: content and embeddings, plain and streamed, sync and async.

The hooks are in the functions that make one billed call each: with automatic function calling one call of the user's
makes several of them.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import AsyncGenerator, Generator
from typing import Any, Optional
from urllib.parse import urlsplit

from recost._capture.wrap import Function, Switch, contained, netloc_of
from recost.llm.calls import LlmCall, Place
from recost.llm.marks import current_mark, enter
from recost.llm.patching import DEFAULT_TAG, Patchable, patch, unpatch
from recost.tags import current_feature


def patch_google(default_feature_tag: str = DEFAULT_TAG) -> None:
    """Count every call of google-genai for content or embeddings at its true cost, sync and async.

    May come before or after the package's import and ``recost.init()``; called again, the new tag counts.
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

    def begin(self, models: Any, kwargs: dict[str, Any]) -> LlmCall:
        asked = kwargs.get("model")
        model = asked.rpartition("/")[2] if isinstance(asked, str) else asked
        url = urlsplit(str(models._api_client._http_options.base_url))  # noqa: SLF001 - nothing public says it
        place = Place(url.scheme, netloc_of(url.scheme, url.hostname or "", url.port), f"{url.path.rstrip('/')}/models")
        return LlmCall(models, place, model, current_feature() or self.default_tag)


def _read(call: LlmCall, response: Any) -> None:
    call.read(getattr(response, "usage_metadata", None), getattr(response, "model_version", None), None)
    if getattr(response, "candidates", None):
        call.token()


def _wrap_function(original: Function, google: _Google, switch: Switch) -> Function:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        call: Optional[LlmCall] = contained(google.begin, self, kwargs) if switch.on else None
        if call is None:
            return original(self, *args, **kwargs)
        outer = current_mark()
        enter(call)
        try:
            response = original(self, *args, **kwargs)
        except BaseException:
            contained(call.finish_failed)
            raise
        finally:
            enter(outer)
        contained(_end, call, response)
        return response

    return wrapper


def _wrap_coroutine(original: Function, google: _Google, switch: Switch) -> Function:
    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        call: Optional[LlmCall] = contained(google.begin, self, kwargs) if switch.on else None
        if call is None:
            return await original(self, *args, **kwargs)
        outer = current_mark()
        enter(call)
        try:
            response = await original(self, *args, **kwargs)
        except BaseException:
            contained(call.finish_failed)
            raise
        finally:
            enter(outer)
        contained(_end, call, response)
        return response

    return wrapper


def _end(call: LlmCall, response: Any) -> None:
    contained(call.read, getattr(response, "usage_metadata", None), getattr(response, "model_version", None), None)
    call.finish()


def _wrap_stream(original: Function, google: _Google, switch: Switch) -> Function:
    """The SDK's is a generator, so this gives one, too; the request goes out with its first step."""

    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        pieces = original(self, *args, **kwargs)
        call: Optional[LlmCall] = contained(google.begin, self, kwargs) if switch.on else None
        return pieces if call is None else _follow(call, pieces)

    return wrapper


def _follow(call: LlmCall, pieces: Any) -> Generator[Any, None, None]:
    try:
        while True:
            outer = current_mark()
            enter(call)
            try:
                piece = next(pieces)
            except StopIteration:
                break
            finally:
                enter(outer)
            contained(_read, call, piece)
            yield piece
    except GeneratorExit:
        pieces.close()
        raise
    except BaseException:
        contained(call.finish_failed)
        raise
    finally:
        contained(call.finish)


def _wrap_async_stream(original: Function, google: _Google, switch: Switch) -> Function:
    """Awaited, the request is out; a generator that nobody begins still was a call."""

    @functools.wraps(original)
    async def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        call: Optional[LlmCall] = contained(google.begin, self, kwargs) if switch.on else None
        if call is None:
            return await original(self, *args, **kwargs)
        outer = current_mark()
        enter(call)
        try:
            pieces = await original(self, *args, **kwargs)
        except BaseException:
            contained(call.finish_failed)
            raise
        finally:
            enter(outer)
        call.is_open = False
        followed = _follow_async(call, pieces)
        weakref.finalize(followed, call.finish)
        return followed

    return wrapper


async def _follow_async(call: LlmCall, pieces: Any) -> AsyncGenerator[Any, None]:
    try:
        async for piece in pieces:
            contained(_read, call, piece)
            yield piece
    except GeneratorExit:
        await pieces.aclose()
        raise
    except BaseException:
        contained(call.finish_failed)
        raise
    finally:
        contained(call.finish)


GOOGLE = _Google()
