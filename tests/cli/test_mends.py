"""What ``status`` says to do about windows that wait: it depends on why they do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.standins import CloudStandIn, Scripted
from recost.session import Destination, Session
from recost_collector import pace
from recost_collector.checks import host
from recost_collector.pace import LISTENER
from recost_collector.status import Trouble, nothing
from recost_collector.words import DOCTOR_SAYS_WHAT
from tests.cli.hosts import KEY, Command, cloud_session, leave_waiting_file, leave_window
from tests.harness import free_port

OTHER_KEY = "rc-another-one"


@pytest.fixture
def service() -> Iterator[CloudStandIn]:
    with CloudStandIn(keys={KEY, OTHER_KEY}, host="127.0.0.2") as server:
        yield server


def mend(status: Command) -> str:
    """Of the windows that wait."""
    found = [trouble["mend"] for trouble in status.json()["troubles"] if " waiting for " in trouble["text"]]
    assert len(found) == 1
    return str(found[0])


def test_what_time_helps_is_tried_by_itself(status: Command) -> None:
    leave_waiting_file()
    assert mend(status).startswith("they are tried again by themselves; ")
    assert mend(status).endswith("recost-collector doctor says what is wrong, flush tries now")


def test_the_doctor_sends_nobody_to_the_doctor(doctor: Command) -> None:
    leave_waiting_file()
    doctor()
    assert "waiting for file:" in doctor.text
    assert "by themselves; recost-collector flush tries now" in doctor.text
    assert "doctor says" not in doctor.text


def test_a_listener_that_is_given_up_is_to_be_started(status: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "LISTENER", LISTENER._replace(gives_up_after=1))
    leave_window(Session(Destination(f"ws://127.0.0.1:{free_port()}", "shop")))

    assert mend(status).startswith("start the listener: the next init()")
    assert "by themselves" not in mend(status)


def test_of_a_spool_that_cannot_be_written_neither() -> None:
    found = nothing("/somewhere")
    found.note([Trouble("degraded: the spool cannot be written", DOCTOR_SAYS_WHAT)])
    (check,) = host._collection(found)
    assert "doctor" not in check.mend


@pytest.mark.parametrize("answer", [429, 503])
def test_what_asked_to_wait_is_tried_again_when_it_said(answer: int, status: Command, service: CloudStandIn) -> None:
    service.answers.append(Scripted(answer, retry_after="90"))
    leave_window(cloud_session(service.addresses[0][1]), KEY)

    assert mend(status).startswith(("nothing: they are tried again in 8", "nothing: they are tried again in 90 s"))
    assert mend(status).endswith("flush does not go before")


def test_a_wait_that_another_answer_asked_for_is_over(status: Command, service: CloudStandIn) -> None:
    """A new key is not bound by what the old one was asked, and now it is something else that is wrong."""
    service.answers.append(Scripted(429, retry_after="90"))
    leave_window(cloud_session(service.addresses[0][1]), KEY)
    service.answers.extend([500] * 4)
    leave_window(cloud_session(service.addresses[0][1]), OTHER_KEY)

    assert mend(status).endswith("flush tries now")


def test_a_key_that_was_refused_is_to_be_checked_before_there_were_too_many(
    status: Command, service: CloudStandIn
) -> None:
    service.answers.extend([401] * 4)
    leave_window(cloud_session(service.addresses[0][1]), KEY)

    assert mend(status).startswith("check api_key (RECOST_API_KEY)")
