"""An assistant whose answers cost what the model, the tier and the tokens of each response say.

OPENAI_API_KEY=sk-… python examples/assistant.py "Why is the sky blue?"      # pip install openai
recost-collector report --by model
"""

from __future__ import annotations

import sys

import openai

import recost

recost.init(project_id="assistant")
recost.patch_openai(inject_stream_usage=True)  # OpenAI's streams say what they used only when asked


def answer(client: openai.OpenAI, question: str) -> str:
    """Streamed, as people like it; one call of an LLM, however it ends."""
    with recost.feature_tag("answer"):
        stream = client.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": question}], stream=True
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


if __name__ == "__main__":
    print(answer(openai.OpenAI(), sys.argv[1] if len(sys.argv) > 1 else "Why is the sky blue?"))
