"""What every call here asks, and what it is answered."""

from __future__ import annotations

ASKED = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Say this is a test."}]}'
BODY = b'{"object": "chat.completion", "choices": [], "usage": {"total_tokens": 99}}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + str(len(BODY)).encode() + b"\r\n\r\n"
) + BODY
