"""What an LLM call costs: the user's prices, what the response reports, the table that is shipped, in that order.

Nothing is fetched.  The table is read when a price is first asked for; what a model means is found out once and kept.
A model without a price costs 0.0 and says so (``Cost.is_priced``): unknown and free are two things.

State: ``_current``, the price list that counts, replaced as a whole by ``set_prices``.  No lock: two threads that
need it first may both build it, and one of the two is used.  A forked child goes on with its parent's.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Optional

import msgspec

from recost.errors import ConfigError
from recost.llm.aliases import SELF_HOSTED, canonical
from recost.llm.overrides import WANT, Given, Overrides
from recost.llm.quick import Quick, quick_of, quick_pico
from recost.llm.rates import Steps, cost_pico, read_steps
from recost.llm.table import NO_PRICES, Table
from recost.llm.tokens import PICO
from recost.llm.usage import Usage, normalise, tier_of

ENVIRONMENT = "RECOST_PRICES_FILE"
TABLE = os.path.join(os.path.dirname(__file__), "prices.json")

_REMEMBERED = 1024
"""Models; more than any program calls, unless a name is made up for each call."""
_MAX_NAME = 256

logger = logging.getLogger("recost")


class Cost(msgspec.Struct, gc=False):
    """What one call cost, and who says so."""

    pico: int
    """Pico-dollars."""
    source: str
    """``override``, ``reported``, ``table``, ``self_hosted``; ``none``: not known, ``pico`` is 0."""
    low_confidence: bool = False
    """The table has a price that may be out of date or depends on the hour."""

    @property
    def is_priced(self) -> bool:
        return self.source != "none"


class Found(msgspec.Struct, gc=False):
    """What a model means, in one tier."""

    steps: Optional[Steps]
    source: str
    low_confidence: bool = False
    until: Optional[str] = None
    """The day on which this is out of date."""


NOT_FOUND = Found(None, "none")


class Counts(msgspec.Struct, gc=False):
    """Since the process began. Added up without a lock: of two threads at the same instant one may get lost."""

    unpriced: int = 0
    odd: int = 0
    """Values in usages that had to be corrected."""
    faults: int = 0
    """Bugs of ours that were contained."""


class PriceList:
    """The prices that count in this process. Threads may share it."""

    def __init__(self, overrides: Overrides, table: Optional[Table] = None) -> None:
        self._overrides = overrides
        self._table = table
        self._found: dict[tuple[str, str, str], Found] = {}
        self._quick: dict[str, dict[str, Quick]] = {}
        """Of what was found, by provider and model as they were given: the usual tier's prices without an end."""
        self._warned: dict[tuple[str, str], object] = {}

    def cost(self, provider: str, model: str, usage: Usage, tier: str = "") -> Cost:
        """What ``usage`` costs. ``tier`` is the response's; without one the usage's own counts. Warns once a model."""
        tier = tier or usage.tier
        try:
            found = self._found.get((provider, model, tier))
        except TypeError:  # that is no name, as ``find`` says
            found = None
        if found is None or (found.until is not None and found.until <= _today()):
            found = self.find(provider, model, tier)
        if usage.reported_pico is not None and found.source != "override":
            return Cost(usage.reported_pico, "reported")
        if found.steps is None:
            self._warn(provider, model)
            return Cost(0, "none")
        if not usage.known:
            return Cost(0, "none")
        return Cost(cost_pico(found.steps, usage), found.source, found.low_confidence)

    def quick_cost(self, provider: str, model: str, usage: dict[str, Any]) -> Optional[int]:
        """The same in pico-dollars, in the usual tier, where that is simple; else None: ask ``cost``."""
        try:
            quick = self._quick.get(provider, _NOTHING).get(model)
        except TypeError:  # that is no name
            return None
        return None if quick is None else quick_pico(quick, usage)

    def find(self, provider: str, model: str, tier: str) -> Found:
        """What ``model`` means, from now on remembered."""
        if not _is_name(provider) or not _is_name(model):
            return NOT_FOUND
        found = self._look_up(canonical(provider), model.strip().lower(), tier)
        if len(self._found) >= _REMEMBERED:
            self._found, self._quick = {}, {}
        self._found[provider, model, tier] = found
        if found.steps is not None and found.until is None and not tier:
            self._quick.setdefault(provider, {})[model] = quick_of(found.steps)
        return found

    def _look_up(self, provider: str, model: str, tier: str) -> Found:
        steps = self._overrides.find(provider, model, tier)
        if steps is not None:
            return Found(steps, "override")
        if provider == SELF_HOSTED:
            return Found(_FREE, SELF_HOSTED)
        if self._table is None:
            self._table = _open_table()
        found = self._table.find(provider, model)
        if found is None:
            return NOT_FOUND
        entry, is_own = found
        today = _today()
        # The tiers are the maker's; who resells the model sells it at the usual price.
        prices = entry.prices_at(today, tier if is_own else "")
        if prices is None:
            return NOT_FOUND
        return Found(read_steps(prices), "table", entry.low_confidence, entry.next_change(today))

    def _warn(self, provider: str, model: str) -> None:
        counts.unpriced += 1
        key = (str(provider)[:_MAX_NAME], str(model)[:_MAX_NAME])
        mine = object()
        # setdefault tells apart who was first, also among threads
        if len(self._warned) < _REMEMBERED and self._warned.setdefault(key, mine) is mine:
            logger.warning(
                "no price for this model, its calls count as 0 and as unpriced; %s can name a file with one: "
                "provider=%s model=%s",
                ENVIRONMENT, *key,
            )  # fmt: skip


_FREE = read_steps({"input": 0})
_NOTHING: dict[str, Quick] = {}
_current: Optional[PriceList] = None
counts = Counts()


def estimate_cost(provider: str, model: str, usage: object, *, service_tier: Optional[str] = None) -> float:
    """What a call cost, in US dollars.

    ``usage`` is what the SDK's response carries, or a dict, a dataclass, None; ``service_tier`` the response's, where
    the usage does not carry it itself (``"batch"`` for OpenAI's batches, which say it nowhere).  Never raises: odd
    numbers are corrected and counted, and a model without a price is 0.0 and one warning on the logger ``recost``.
    """
    try:
        prices = _current or price_list()
        if service_tier is None and type(usage) is dict:  # nearly always, so in a straight line
            cost = prices.quick_cost(provider, model, usage)
            if cost is not None:
                return cost / PICO
        read = normalise(usage)
        tier = tier_of(service_tier) if service_tier else read.tier
        counts.odd += read.odd
        return prices.cost(provider, model, read, tier).pico / PICO
    except Exception:
        counts.faults += 1
        if counts.faults == 1:
            logger.warning("a call could not be priced and counts as 0, more may follow", exc_info=True)
        return 0.0


def set_prices(prices: Optional[Given] = None, *, file: Optional[str] = None) -> None:
    """Use the user's own prices from now on: ``prices`` first, then ``file``, then ``$RECOST_PRICES_FILE``.

    Each call replaces what earlier ones gave.  The form is that of ``recost.llm.overrides``, the file's is JSON.
    Raises ConfigError for what is no price list or cannot be read, and then changes nothing.
    """
    global _current  # noqa: PLW0603 - the one price list of the process
    overrides = Overrides()
    environment = os.environ.get(ENVIRONMENT)
    if environment:
        overrides.add(_read_file(environment, ENVIRONMENT), ENVIRONMENT)
    if file is not None:
        overrides.add(_read_file(file, "prices_file"), "prices_file")
    if prices is not None:
        overrides.add(prices, "prices")
    _current = PriceList(overrides)


def price_list() -> PriceList:
    """The prices that count. A file in the environment that is none is one warning: a call must not fail by it."""
    global _current  # noqa: PLW0603 - the one price list of the process
    if _current is None:
        try:
            set_prices()
        except ConfigError as error:
            logger.warning("own prices are not used: %s", error)
            _current = PriceList(Overrides())
    return _current or PriceList(Overrides())


def _open_table() -> Table:
    """An empty one where it cannot be read: that is told once, and then every model is one without a price."""
    loader: Any = __spec__.loader  # the package may be in an archive
    try:
        return Table(loader.get_data(TABLE))
    except (OSError, msgspec.MsgspecError) as error:
        logger.warning("the price table cannot be read, install recost anew: %s: %s", TABLE, error)
        return Table(NO_PRICES)


def _read_file(path: str, setting: str) -> Given:
    try:
        with open(os.path.expanduser(path), "rb") as file:
            return msgspec.json.decode(file.read(), type=dict[str, dict[str, dict[str, object]]])
    except OSError as error:
        raise ConfigError(setting, path, f"a file that can be read ({error.strerror})") from error
    except msgspec.MsgspecError as error:
        raise ConfigError(setting, path, f"a file with JSON like {WANT} ({error})") from error


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_NAME


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())
