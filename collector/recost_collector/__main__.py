"""``python -m recost_collector``: the same as ``recost-collector``."""

from __future__ import annotations

import sys

from recost_collector.cli import main

sys.exit(main())
