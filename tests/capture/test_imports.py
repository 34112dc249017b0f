"""Clients are patched when they are imported, before or after, by whom and however; none is imported for that."""

from __future__ import annotations

import pytest

from tests.capture.clients import installed
from tests.capture.fresh import run

each = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(installed(name) is None, reason="not installed"))
        for name in ("aiohttp", "httpx", "httpx2", "urllib3", "requests")
    ],
)


def test_no_client_is_imported(origin):
    run(
        origin,
        """
        add_sink(seen.append)
        assert not CLIENTS & set(sys.modules), CLIENTS & set(sys.modules)
        import importlib.util
        assert importlib.util.find_spec("urllib3") is not None
        assert not CLIENTS & set(sys.modules)
        remove_sink(seen.append)
        assert not CLIENTS & set(sys.modules)
        """,
    )


@each
def test_a_client_is_captured_that_is_imported_later(name, origin):
    run(
        origin,
        f"""
        add_sink(seen.append)
        import {name}
        get("{name}")
        assert len(seen) == 1
        """,
    )


@each
def test_a_client_is_captured_that_was_imported_before(name, origin):
    run(
        origin,
        f"""
        import {name}
        add_sink(seen.append)
        get("{name}")
        assert len(seen) == 1
        """,
    )


@each
def test_an_imported_module_looks_as_it_always_does(name, origin):
    run(
        origin,
        f"""
        import importlib.util
        before = importlib.util.find_spec("{name}")
        add_sink(seen.append)
        import {name} as module
        assert type(module.__loader__) is type(before.loader), module.__loader__
        assert module.__spec__.loader is module.__loader__
        assert module.__spec__.origin == before.origin == module.__file__
        assert list(module.__path__) == list(before.submodule_search_locations)
        """,
    )


@each
def test_a_reloaded_module_counts_once(name, origin):
    run(
        origin,
        f"""
        import importlib
        add_sink(seen.append)
        import {name} as module
        module = importlib.reload(module)
        assert type(module.__loader__).__name__ == "SourceFileLoader", module.__loader__
        get("{name}")
        assert len(seen) == 1, seen
        """,
    )


def test_a_client_that_is_imported_anew_is_captured_anew(origin):
    run(
        origin,
        """
        add_sink(seen.append)
        import httpx
        for name in [name for name in sys.modules if name.partition(".")[0] == "httpx"]:
            del sys.modules[name]
        import httpx
        get("httpx")
        assert len(seen) == 1, seen
        """,
    )


def test_imports_are_left_alone_after_the_last_sink_went(origin):
    run(
        origin,
        """
        finders = list(sys.meta_path)
        add_sink(seen.append)
        remove_sink(seen.append)
        assert sys.meta_path == finders
        import httpx
        get("httpx")
        assert seen == []
        assert not hasattr(httpx.Client.send, "__wrapped__")
        """,
    )


@pytest.mark.parametrize("order", ["before", "after"])
def test_other_finders_work_before_and_after_ours(order, origin):
    """As wrapt and the tracers do it: asking the whole import system again, and wrapping the loader that it finds."""
    run(
        origin,
        f"""
        import importlib.util

        class Loader:
            def __init__(self, loader):
                self.loader = loader
            def create_module(self, spec):
                return self.loader.create_module(spec)
            def exec_module(self, module):
                self.loader.exec_module(module)
                module.seen_by_the_other = True

        class Finder:
            busy = False
            def find_spec(self, name, path=None, target=None):
                if name != "httpx" or self.busy:
                    return None
                self.busy = True
                try:
                    spec = importlib.util.find_spec(name)
                finally:
                    self.busy = False
                spec.loader = Loader(spec.loader)
                return spec

        if "{order}" == "before":
            sys.meta_path.insert(0, Finder())
        add_sink(seen.append)
        if "{order}" == "after":
            sys.meta_path.insert(0, Finder())
        import httpx
        assert httpx.seen_by_the_other
        get("httpx")
        assert len(seen) == 1, seen
        """,
    )


def test_a_lazy_module_is_captured_when_it_is_used(origin):
    run(
        origin,
        """
        import importlib.util
        add_sink(seen.append)
        spec = importlib.util.find_spec("httpx")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        module = importlib.util.module_from_spec(spec)
        sys.modules["httpx"] = module
        spec.loader.exec_module(module)
        assert "httpx._client" not in sys.modules
        get("httpx")
        assert len(seen) == 1, seen
        """,
    )


@pytest.mark.skipif(not hasattr(installed("httpx2"), "alias_httpx"), reason="this httpx2 cannot pose as httpx")
@pytest.mark.parametrize("order", ["before", "after"])
def test_httpx2_that_poses_as_httpx_counts_once(order, origin):
    run(
        origin,
        f"""
        if "{order}" == "before":
            add_sink(seen.append)
        import httpx2
        loader = httpx2.__loader__
        httpx2.alias_httpx()
        import httpx
        if "{order}" == "after":
            add_sink(seen.append)
        import importlib
        importlib.reload(httpx)
        assert httpx is httpx2
        get("httpx")
        assert len(seen) == 1, seen
        assert type(httpx2.__loader__) is type(loader)
        """,
    )


def test_a_client_whose_import_is_forbidden_is_no_trouble(origin):
    run(
        origin,
        """
        sys.modules["httpx"] = None
        add_sink(seen.append)
        """,
    )


def test_a_failing_import_fails_as_without_us(origin, tmp_path):
    (tmp_path / "aiohttp.py").write_text("raise OSError('broken')\n")
    run(
        origin,
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        add_sink(seen.append)
        for _ in range(2):
            try:
                import aiohttp
            except OSError as error:
                assert str(error) == "broken"
            else:
                raise AssertionError
            assert "aiohttp" not in sys.modules
        """,
    )
