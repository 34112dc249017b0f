"""A small AWS Lambda: loads HANDLER once, and calls it with each line of its input as an event.

python -m tests.sandboxes.invoker FOLDER
"""

from __future__ import annotations

import importlib
import json
import sys


def main() -> None:
    sys.path.insert(0, sys.argv[1])
    function = importlib.import_module("handler").handler
    for line in sys.stdin:
        print(json.dumps(function(json.loads(line), None)), flush=True)


if __name__ == "__main__":
    main()
