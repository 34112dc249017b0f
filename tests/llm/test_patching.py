"""Patching in other orders: before the SDK is imported, without the SDK, and a stream that a fork inherits."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from typing import Any

import openai
import pytest

import recost
from recost import _runtime
from recost.llm import openai as hooks
from tests.harness import run_child
from tests.llm.answering import account, accounted, watched

PROGRAM = """
import sys
import recost

recost.patch_openai()
recost.patch_anthropic()
recost.patch_google()
assert not {"openai", "anthropic", "google.genai"} & set(sys.modules), "patching imports nothing"
rule = recost.ProviderDef("127.0.0.2", "openai")
with recost.init(project_id="shop", collector="thread", custom_providers=[rule]):
    import anthropic, openai
    from google import genai

    url, ask = sys.argv[1], [{"role": "user", "content": "q"}]
    openai.OpenAI(api_key="x", base_url=url + "/v1").chat.completions.create(model="gpt-4o", messages=ask)
    anthropic.Anthropic(api_key="x", base_url=url).messages.create(model="c", max_tokens=1, messages=ask)
    options = genai.types.HttpOptions(base_url=url)
    client = genai.Client(api_key="x", http_options=options)
    client.models.generate_content(model="g", contents="q")
    client.close()
    assert recost.flush(30)
"""


@pytest.mark.skipif(sys.version_info < (3, 10), reason="google-genai is not there beside the oldest httpx")
def test_patching_before_the_import_is_as_good() -> None:
    with accounted("openai") as found:
        done = subprocess.run([sys.executable, "-c", PROGRAM, found.url], check=False, capture_output=True, text=True)
        assert not done.returncode, done.stderr
    assert (account().calls, account().http_calls) == (3, 3)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks.OPENAI, "package", "openai_that_nobody_has")
    with pytest.raises(ImportError, match="pip install openai_that_nobody_has"):
        recost.patch_openai()


@pytest.mark.parametrize("patch", [recost.patch_openai, recost.patch_anthropic, recost.patch_google])
@pytest.mark.parametrize(("given", "kind"), [(None, "NoneType"), (5, "int"), (b"chat", "bytes")])
def test_a_tag_that_is_no_string_is_named_and_nothing_is_patched(patch: Any, given: object, kind: str) -> None:
    with pytest.raises(TypeError, match=f"default_feature_tag: want a string such as 'checkout', got {kind}"):
        patch(given)
    assert not hooks.OPENAI.is_patched


def test_a_stream_that_a_fork_inherits_is_the_parents() -> None:
    recost.patch_openai()
    with watched("openai") as found, openai.OpenAI(api_key="x", base_url=f"{found.url}/v1") as client:
        arguments: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "q"}]}
        streams = [client.chat.completions.create(**arguments, stream=True)]
        next(streams[0])
        parents = _runtime.current

        def drop() -> None:
            streams.clear()
            gc.collect()
            os._exit(0 if _runtime.current is parents else 1)

        assert run_child(drop) == 0, "the child has recorded something"
        assert not found.llm_events()
        streams[0].close()
        assert len(found.llm_events()) == 1
    recost.unpatch_openai()
