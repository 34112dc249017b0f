"""What all integrations have in common: settings, handles, missing frameworks, old names."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any, Callable

import flask
import pytest
import starlette.applications
from billiard.pool import EX_OK, EX_RECYCLE
from celery import signals as celery_signals

import recost
from recost import ConfigError, RecostConfig, RecostHandle, _runtime
from recost.frameworks import celery, fastapi
from recost.frameworks.django import apps as django
from recost.frameworks.fastapi import RecostMiddleware
from recost.frameworks.flask import ReCost as FlaskReCost
from recost.frameworks.flask import RecostExtension
from recost.workers import gunicorn
from tests.frameworks.lifespan import lifespan
from tests.harness import run_child
from tests.processes.support import run_program

Make = Callable[..., Any]


async def nothing(*_: object) -> None:
    """An ASGI application."""


def make_middleware(**settings: Any) -> RecostMiddleware:
    return RecostMiddleware(nothing, **settings)


def make_extension(**settings: Any) -> RecostExtension:
    return RecostExtension(flask.Flask("shop"), **settings)


both = pytest.mark.parametrize("make", [make_middleware, make_extension])


def settings_now() -> RecostConfig:
    assert _runtime.current is not None
    return _runtime.current.settings


@both
def test_settings_go_in_by_keyword_or_as_a_config_and_keywords_win(make: Make):
    def child():
        made = make(config=RecostConfig(project_id="of-the-config", environment="a"), environment="b")
        assert isinstance(made.handle, RecostHandle)
        assert (settings_now().project_id, settings_now().environment) == ("of-the-config", "b")
        made.handle.dispose()
        assert _runtime.current is None

    assert run_child(child) == 0


@both
def test_without_settings_the_programs_own_init_counts(make: Make):
    def child():
        recost.init(project_id="own")
        own = _runtime.current
        assert make().handle is not None
        assert _runtime.current is own
        make(project_id="other")
        assert settings_now().project_id == "other"

    assert run_child(child) == 0


@both
def test_a_program_that_has_switched_recost_off_stays_so_until_it_says_otherwise(make: Make):
    def child():
        recost.init(enabled=False)
        assert make().handle is not None
        celery.connect()
        celery_signals.worker_process_init.send(sender=None)
        gunicorn.post_fork(None, None)
        assert _runtime.current is None
        assert not recost.is_installed()
        recost.init(project_id="own").dispose()
        make()
        assert _runtime.current is not None, "what is disposed of has decided nothing"

    assert run_child(child) == 0


@both
def test_a_wrong_setting_raises_when_it_is_made(make: Make):
    with pytest.raises(ConfigError, match="project_id"):
        make(project_id="not/a/name")
    with pytest.raises(ConfigError, match="api_key"):
        make(api_key="wrong", project_id="shop")
    with pytest.raises(TypeError, match="projekt"):
        make(projekt="shop")
    assert _runtime.current is None


@pytest.mark.parametrize(
    ("make", "module", "extra"),
    [
        (make_middleware, "starlette", "fastapi"),
        (make_extension, "flask", "flask"),
        (celery.connect, "celery", "celery"),
    ],
)
def test_a_missing_framework_is_an_import_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, make: Make, module: str, extra: str
):
    for name in {module, *(name for name in sys.modules if name.partition(".")[0] == module)}:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'recost\[{extra}\]'"):
        make()
    assert _runtime.current is None


def test_the_modules_themselves_need_no_framework():
    program = (
        "import sys\n"
        "for name in ('starlette', 'fastapi', 'flask', 'django', 'celery'): sys.modules[name] = None\n"
        "from recost.frameworks import celery, django, fastapi, flask\n"
    )
    run_program("-c", program)


def test_the_old_names_work_and_say_what_to_use():
    def child():
        with pytest.warns(DeprecationWarning, match="use RecostMiddleware"):
            assert isinstance(fastapi.ReCost(nothing, project_id="shop"), RecostMiddleware)
        with pytest.warns(DeprecationWarning, match="use RecostExtension"):
            assert isinstance(FlaskReCost(flask.Flask("shop"), project_id="shop"), RecostExtension)

    assert run_child(child) == 0


def test_djangos_setting_is_a_dict_or_a_config():
    config = RecostConfig(project_id="shop")
    assert django._given(None) == (None, {})
    assert django._given({"project_id": "shop"}) == (None, {"project_id": "shop"})
    assert django._given(config) == (config, {})
    with pytest.raises(ConfigError, match=r"RECOST=.*want a dict"):
        django._given("rc-a-key-that-nobody-may-see")


def test_one_extension_serves_several_applications():
    def child():
        extension = RecostExtension(project_id="shop")
        assert extension.handle is None
        applications = [flask.Flask(name) for name in ("a", "b")]
        for application in applications:
            extension.init_app(application)
        assert all(application.extensions["recost"] is extension for application in applications)
        runtime = _runtime.current
        assert runtime is not None
        assert not runtime.disposed

    assert run_child(child) == 0


def test_settings_may_come_with_the_application_and_beat_the_constructors():
    """A factory makes the extension before it knows of any; with ``config=``, too."""

    def child():
        extension = RecostExtension(environment="blue", max_retries=1)
        extension.init_app(flask.Flask("a"), project_id="shop", environment="green")
        settings = settings_now()
        assert (settings.project_id, settings.environment, settings.max_retries) == ("shop", "green", 1)
        extension.init_app(flask.Flask("b"))
        assert settings_now() is settings
        extension = RecostExtension()
        extension.init_app(flask.Flask("c"), config=RecostConfig(project_id="other"))
        assert settings_now().project_id == "other"
        assert extension.handle is not None

    assert run_child(child) == 0


def test_a_lifespan_that_begins_again_captures_again():
    """As with a test client that runs one application in many tests."""

    def child():
        middleware = RecostMiddleware(starlette.applications.Starlette(), project_id="shop")
        for _ in range(2):
            asyncio.run(lifespan(middleware, during=lambda: settings_now().project_id))
            assert _runtime.current is None

    assert run_child(child) == 0


def test_the_programs_own_handle_outlives_the_lifespan():
    def child():
        recost.init(project_id="own")
        asyncio.run(lifespan(RecostMiddleware(starlette.applications.Starlette()), during=settings_now))
        assert settings_now().project_id == "own"

    assert run_child(child) == 0


@pytest.mark.parametrize(("exitcode", "still_captures"), [(EX_RECYCLE, True), (EX_OK, False)])
def test_a_child_of_celerys_pool_waits_for_delivery_only_where_nobody_takes_its_place(
    exitcode: int, still_captures: bool
):
    def child():
        celery.connect(project_id="shop")
        celery_signals.worker_process_init.send(sender=None)
        celery_signals.worker_process_shutdown.send(sender=None, pid=os.getpid(), exitcode=exitcode)
        assert (_runtime.current is not None) == still_captures

    assert run_child(child) == 0
