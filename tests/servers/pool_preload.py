"""What a fork server imports once, for all of its children: it calls ``init()`` itself, and they are its forks."""

from __future__ import annotations

import recost

recost.init()
