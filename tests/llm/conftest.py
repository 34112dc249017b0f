"""google-genai wants a newer httpx than the oldest that is tried, on Python 3.9, beside it."""

from __future__ import annotations

import sys

collect_ignore = ["test_google.py"] if sys.version_info < (3, 10) else []
