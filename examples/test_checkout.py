"""Tests that hold outbound calls to a budget; recost's pytest plugin is loaded by itself.

pytest examples/test_checkout.py --recost      # and a sum of all calls at the end
"""

from __future__ import annotations

import os

import pytest
import requests

from recost.testing import Calls

STRIPE = os.environ.get("STRIPE_URL", "https://api.stripe.com")


def check_out(cents: int) -> int:
    answer = requests.post(f"{STRIPE}/v1/charges", data={"amount": cents}, timeout=10)
    return answer.status_code


@pytest.mark.recost(max_calls=1, max_cost_cents=1, forbid=["api.openai.com"])
def test_a_checkout_is_one_call() -> None:
    check_out(1999)


def test_nothing_is_charged_for_an_empty_cart(recost_calls: Calls) -> None:
    assert recost_calls.count == 0


def test_a_checkout_calls_the_endpoint_for_charges(recost_calls: Calls) -> None:
    check_out(1999)
    assert [call.method for call in recost_calls] == ["POST"]
