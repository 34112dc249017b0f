"""Other SDKs' names for what recost does."""

from __future__ import annotations
