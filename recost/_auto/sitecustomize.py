"""What every Python below ``recost-run`` loads at its start, because this folder is first on its PYTHONPATH.

Nothing is imported and nothing captured before the program imports a client: then recost is imported and ``init()``
called, with the settings that the environment has at that moment.  An interpreter that cannot import recost is left
alone, whatever its version: so no annotations here, and nothing that Python 2 cannot read.

The ``sitecustomize`` that this one hides is loaded in its place, and is what ``sys.modules`` has afterwards.
"""

import os
import sys

CLIENTS = ("aiohttp", "httpx", "httpx2", "requests", "urllib3")
OLDEST = (3, 9)
SKIPPED = ("pip", "recost-run", "recost-collector")
SKIPPED_MODULES = ("pip", "recost", "recost_collector")
"""Of ``python -m``. Installing packages is no business of the program, and recost's own calls are not its user's."""
FLAGS_ON = ("1", "true", "yes", "on")


class ClientWatch(object):
    """A finder that finds nothing itself: the first client that is imported has recost started before it is found.

    It stays in ``sys.meta_path``: taking it out would have another thread's import skip the finder behind it.
    """

    starts_recost = True

    def __init__(self):
        self.is_done = False

    def find_spec(self, name, path=None, target=None):
        if self.is_done or name not in CLIENTS:
            return None
        start_recost()
        self.is_done = True
        # recost's own finder is in front of this one by now, so the import system is already past it.
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec = None if find is None else find(name, path, target)
            if spec is not None:
                return spec
        return None


def watch_clients():
    """Once, also when this file is executed again."""
    if sys.version_info < OLDEST or any(getattr(finder, "starts_recost", False) for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, ClientWatch())
    if any(name in sys.modules for name in CLIENTS):
        start_recost()


def start_recost():
    """Never raises: the program is importing a client, and knows nothing of recost."""
    try:
        if is_skipped():
            return
        try:
            from recost.handle import init_automatically  # noqa: PLC0415 - only when a client is used
        except ImportError as error:
            if os.environ.get("RECOST_DEBUG", "").strip().lower() in FLAGS_ON:
                say("%s cannot import recost (%s)" % (sys.executable, error))
            return
        init_automatically()
    except Exception as error:  # noqa: BLE001 - whatever it is, the program runs as without recost
        say(error)


def is_skipped():
    """Whether this process is pip or one of recost's own commands."""
    main = sys.modules.get("__main__")
    package = str(getattr(getattr(main, "__spec__", None), "name", "")).partition(".")[0]
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    return package in SKIPPED_MODULES or program.rstrip("0123456789.") in SKIPPED  # pip3.11 is pip


def say(reason):
    try:  # noqa: SIM105 - contextlib is not loaded yet
        sys.stderr.write("recost-run: no calls are captured in process %d: %s\n" % (os.getpid(), reason))
    except Exception:  # noqa: BLE001, S110 - there is no stderr, or nobody reads it
        pass


def load_shadowed():
    """What the program would have had as ``sitecustomize``. Its errors are its own, and reported as without us."""
    from importlib.machinery import PathFinder  # noqa: PLC0415 - Python 2 has none

    here = os.path.dirname(os.path.abspath(__file__))
    places = [os.path.abspath(place) for place in sys.path]
    behind = places[places.index(here) + 1 :] if here in places else []
    spec = PathFinder.find_spec("sitecustomize", [place for place in behind if place != here])
    if spec is not None and spec.loader is not None:
        from importlib.util import module_from_spec  # noqa: PLC0415 - rarely needed, and every start would pay for it

        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


watch_clients()
if sys.version_info >= (3, 5):
    load_shadowed()
