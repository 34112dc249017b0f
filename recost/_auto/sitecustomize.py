"""What every Python below ``recost-run`` loads at its start, because this folder is first on its PYTHONPATH.

Nothing is imported and nothing captured before the program imports a client: when it has, recost is imported and
``init()`` called, with the settings that the environment has at that moment.  An interpreter that cannot import recost
is left alone, whatever its version: so no annotations here, and nothing that Python 2 cannot read.

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
FAILURES = []  # type: list[Exception]
"""Why this process is left alone. The first is also the last."""


def watch_clients():
    """Once, also when this file is executed again."""
    if sys.version_info < OLDEST or any(getattr(finder, "starts_recost", False) for finder in sys.meta_path):
        return
    watch = load("recost_run_imports", "_capture", "imports.py").Watch(CLIENTS, start_recost)
    watch.starts_recost = True
    watch.start()
    for client in CLIENTS:
        if client in sys.modules:  # by a .pth file
            start_recost(client)


def start_recost(client):
    """The module ``client`` has been executed. Never raises: the program knows nothing of recost.

    Not earlier: whoever imports while a client is only being looked for holds the lock of all imports, and would wait
    for ever for a thread that is importing the same.
    """
    try:
        if FAILURES or is_skipped():
            return
        try:
            from recost.handle import init_automatically  # noqa: PLC0415 - only when a client is used
        except ImportError as error:
            FAILURES.append(error)
            if os.environ.get("RECOST_DEBUG", "").strip().lower() in FLAGS_ON:
                say("%s cannot import recost (%s)" % (sys.executable, error))
            return
        init_automatically(client)
    except Exception as error:  # noqa: BLE001 - whatever it is, the program runs as without recost
        FAILURES.append(error)
        say(error)


def load(name, *place):
    """A module of a file of recost that needs nothing else: recost itself may not be importable."""
    from importlib.machinery import SourceFileLoader  # noqa: PLC0415 - Python 2 has none

    module = type(sys)(name)
    file = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), *place)
    SourceFileLoader(name, file).exec_module(module)
    return module


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
