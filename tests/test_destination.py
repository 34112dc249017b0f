from __future__ import annotations

import os
import stat
import urllib.request
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from recost import _version, session
from recost._destination import proxies, registration
from recost.config import RecostConfig, resolve
from recost.origins import mount_namespace
from recost.session import ProviderDef
from tests.harness import run_child

KEY = "rc-0123456789abcdefghijklmnopqrstuvwxyz"
PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "NO_PROXY")


def settings(**given) -> RecostConfig:
    return resolve(None, given, {})


def registered(environ, **given) -> session.Registration:
    """What the collector reads from the ring."""
    return session.decode(session.encode(registration(settings(**given), environ)))


def test_cloud_windows_go_to_the_project_of_the_base_url():
    got = registered({}, api_key=KEY, project_id="shop", base_url="https://me.test/base/")

    assert got.api_key == KEY
    assert got.session.destination == session.Destination("https://me.test/base/projects/shop/telemetry", "shop")


def test_local_windows_go_to_a_file_of_the_project(tmp_path: Path):
    environ = {
        "RECOST_LOCAL_DIR": str(tmp_path / "new" / "local"),
        "HTTPS_PROXY": "http://proxy",
        "SSL_CERT_FILE": "/x",
    }
    made = tmp_path / "new" / "local"

    got = registered(environ, project_id="shop", local_file_max_bytes=2048)

    assert got.api_key == ""
    assert got.session.destination == session.Destination(
        f"file://{made}/shop.jsonl",
        "shop",
        mount_namespace=mount_namespace(),
        directory=(made.stat().st_dev, made.stat().st_ino),
        file_max_bytes=2048,
    )
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [0o700, 0o700]


def test_without_a_project_the_file_is_the_default_one(tmp_path: Path):
    got = registered({"HOME": str(tmp_path)})

    assert got.session.destination.url == f"file://{tmp_path}/.recost/local-telemetry/default.jsonl"
    assert got.session.destination.project_id == ""


def test_websocket_windows_go_to_the_port():
    built = registration(RecostConfig(local_transport="ws", local_port=5), {"HTTP_PROXY": "http://proxy"})

    assert built.session.destination == session.Destination("ws://127.0.0.1:5")


def test_the_session_is_what_was_set():
    providers = [ProviderDef("*.acme.test", "acme", cost_per_request_cents=2)]
    given = {
        "environment": "production",
        "flush_interval_ms": 5,
        "max_batch_size": 6,
        "max_buckets": 7,
        "normalize_paths": False,
        "max_retries": 8,
        "max_consecutive_auth_failures": 9,
        "spool_max_bytes": 10 << 20,
        "collector_idle_exit_s": 11.0,
    }

    got = registered({}, api_key=KEY, project_id="shop", custom_providers=providers, **given).session

    assert {name: getattr(got, name) for name in given} == given
    assert got.custom_providers == tuple(providers)
    assert got.sdk_version == _version.__version__
    rest = {"destination", "custom_providers", "sdk_version", "llm_log"}
    assert set(session.Session.__struct_fields__) == {*given, *rest}


def test_the_log_of_llm_calls_is_a_local_file_also_when_windows_go_to_the_cloud(tmp_path: Path):
    environ = {"RECOST_LOCAL_DIR": str(tmp_path)}
    got = registered(environ, api_key=KEY, project_id="shop", llm_event_log=True).session

    assert got.llm_log is not None
    assert got.llm_log.url == f"file://{tmp_path}/shop.llm.jsonl"
    assert got.place(got.llm_log.id) == got.llm_log
    assert got.place(got.destination.id) == got.destination


def test_two_keys_are_one_session():
    one, two = (registered({}, api_key=KEY + end, project_id="shop") for end in "ab")

    assert one.session == two.session
    assert one.session.id == two.session.id
    assert one.api_key != two.api_key


def test_two_spellings_of_a_directory_are_one_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    spellings = ("real", "./link/", str(tmp_path / "real"), "real/../link")
    assert len({registered({"RECOST_LOCAL_DIR": path}).session.id for path in spellings}) == 1


@pytest.mark.parametrize("name", ["with space", "50%41", "a?b#c", "caf\u00e9", "\udcff\udc80", "new\nline"])
def test_any_name_of_a_directory_arrives(tmp_path: Path, name: str):
    """As the exporter reads it, byte for byte."""
    url = registered({"RECOST_LOCAL_DIR": str(tmp_path / name)}).session.destination.url

    path = os.fsdecode(unquote_to_bytes(urlsplit(url).path))
    assert os.path.isdir(os.path.dirname(path))
    assert path == str(tmp_path / name / "default.jsonl")


def test_a_directory_that_cannot_be_made_is_said_by_zeros(tmp_path: Path):
    (tmp_path / "file").write_text("x")

    got = registered({"RECOST_LOCAL_DIR": str(tmp_path / "file" / "local")}).session.destination

    assert got.directory == (0, 0)
    assert got.url == f"file://{tmp_path}/file/local/default.jsonl"
    assert registered({"RECOST_LOCAL_DIR": "a\0b"}).session.destination.directory == (0, 0)


def test_a_working_directory_that_is_gone_does_no_harm(tmp_path: Path):
    def child() -> None:
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        got = registered({"SSL_CERT_FILE": "ca.pem"}, api_key=KEY, project_id="shop").session.destination
        assert got.ca_bundle == "/ca.pem"

    assert run_child(child) == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HTTP_PROXY": "http://upper", "http_proxy": "http://lower"},
        {"HTTP_PROXY": "http://upper", "http_proxy": ""},
        {"HTTP_PROXY": "", "https_proxy": "http://s"},
        {"HTTPS_PROXY": "http://s", "ALL_PROXY": "socks5://all", "NO_PROXY": "a.test,.b.test"},
        {"all_proxy": "http://all", "no_proxy": "*"},
        {"HTTP_PROXY": "http://from-a-header", "REQUEST_METHOD": "GET"},
        {"HTTP_PROXY": "http://from-a-header", "http_proxy": "http://real", "REQUEST_METHOD": "GET"},
        {"HTTPS_PROXY": "http://s", "https_proxy": "", "REQUEST_METHOD": "GET"},
    ],
)
def test_proxies_are_the_ones_that_urllib_takes(environ, monkeypatch: pytest.MonkeyPatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    got = registered(environ, api_key=KEY, project_id="shop").session.destination.proxies

    assert got == proxies(environ) == tuple(sorted(urllib.request.getproxies_environment().items()))


def test_the_ca_bundle_is_an_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The collector has another working directory."""
    monkeypatch.chdir(tmp_path)
    environ = {"CURL_CA_BUNDLE": "curl.pem"}

    def bundle() -> str:
        return registered(environ, api_key=KEY, project_id="shop").session.destination.ca_bundle

    assert bundle() == str(tmp_path / "curl.pem")
    environ["REQUESTS_CA_BUNDLE"] = "/etc/requests.pem"
    assert bundle() == "/etc/requests.pem"
    environ["SSL_CERT_FILE"] = "/etc/ssl.pem"
    assert bundle() == "/etc/ssl.pem"


def test_variables_that_are_no_text_do_not_break_the_session():
    got = registered({"HTTPS_PROXY": "http://\udcff", "SSL_CERT_FILE": "/\udcff"}, api_key=KEY, project_id="shop")

    assert got.session.destination.proxies == (("https", "http://?"),)
