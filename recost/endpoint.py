"""Paths as endpoint names: ids become ``{id}``, so that buckets stay few and no customer number leaves.

What counts as an id, per segment of the path:

*   numbers, also with signs and separators in them (coordinates, telephone numbers, dates)
*   UUIDs, hex of 8 and more characters, tokens that look random, alone or behind a prefix (``cus_9s6XKzkNRiz8i3``)
*   anything with ``@``, Telegram's ``bot<digits>:<secret>``, and all that follows ``/services/`` (Slack's webhooks)

What stays: words, versions (``v1``, ``v1beta1``, ``1.1``), names with small numbers in them (``gpt-4o``,
``us-central1``), dated names (``gpt-4o-2024-08-06``).  Where in doubt a token counts as an id: a name too few costs
a reader a guess, a token too many costs a customer his privacy.

Whether a token looks random is told by its letters: how often each pair of neighbours occurs in names that people
chose, against chance.  That finds 99 of 100 random tokens of 12 characters, all but a few in a thousand longer ones,
and spares 998 of 1000 words.  A list of prefixes or of words would miss the next API.

The time is linear in the length of the path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product, repeat
from string import ascii_lowercase
from urllib.parse import unquote

ID = "{id}"

# Behind these nothing is a name: Slack's and Zapier's webhooks, whose tokens can be as short as a word.
_SECRETS_FOLLOW = ("/services/", "/hooks/catch/")
# Behind these comes the name of a model, where three or four digits are a version and not a number.
_MODELS_FOLLOW = frozenset({"models", "model", "deployments", "engines", "foundation-models"})
_DIGITS_IN_NAME, _DIGITS_IN_MODEL = 2, 4

_TELEGRAM_BOT = re.compile(r"bot\d+:")
_DELIMITER = re.compile(r"([:;,()'=!$&*|]+)")
_IDS_IN_A_ROW = re.compile(r"\{id\}(?:[,;]\{id\})+")
_EXTENSION = re.compile(r"\.[a-z]{2,4}\d?\Z")
_LETTER = re.compile(r"[^\W\d_]")
_DIGITS = re.compile(r"\d+")
_VERSION_NUMBER = re.compile(r"\d\.\d{1,2}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")

_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_YEAR_OR_DATE = re.compile(r"(?:19|20)\d\d(?:[01]\d[0-3]\d)?")
_VERSION = re.compile(r"v\d{1,8}(?:p\d+)?(?:(?:alpha|beta|rc)\d*)?", re.IGNORECASE)
_KNOWN_WORDS = frozenset({"aes128", "aes256", "ed25519", "iso8601", "rfc3339", "sha256", "sha384", "sha512"})

# For "aa", "ab" ... "zz": 4 + log2 of how many times more often than by chance the pair occurs in the words that the
# identifiers of Python's standard library are made of, between 0 (a sixteenth) and 7 (eight times).
_PAIR_DIGITS = (
    "04540140402645040656322230623350005406215305525000405032600540542071042641002052247220600512510443410020"
    "41553330100446132665132420513255107004116105344000305021704550043541055241100170027000601332600425300020"
    "43544340000547530355030203613272114141116312426111214223723060150432126231402051247100600501520144410050"
    "64027000501342560042400000515553614022134201563300102345123020345744064453410060226103500501550635401030"
    "22032002000402000330702000613372305022435204553210304042621450232144115650103050327205600321530544401040"
    "44435330400556250656000000613072006000114002000010006123510560030550055200120042536312600341360226111441"
    "2342412050045636036602302350027300600241520113000031"
)
_PAIRS = {a + b: int(digit) - 4 for (a, b), digit in zip(product(ascii_lowercase, repeat=2), _PAIR_DIGITS)}
_NEW_HUMP = -1  # a capital after a small letter: every few letters in camelCase, every fourth pair in a token
_INTO_OR_OUT_OF_NUMBER = -2
# From how many characters on a word is judged, and below which familiarity it is a token.
_WORD_FROM, _SHORT_WORD_LIMIT = 8, -5  # letters only: a name of two words put together looks odd where they meet
_LONG_WORD_FROM, _WORD_LIMIT = 12, -2
_TEXT_FROM, _TEXT_LIMIT = 16, -10  # all words of a segment: a token with - or _ in it falls into short ones


def normalize_path(path: str) -> str:
    """``path`` with ``{id}`` in place of every id. What comes out goes in again unchanged."""
    for marker in _SECRETS_FOLLOW:
        before, _, secret = path.partition(marker)
        if secret:
            return _normalize(before) + marker + ID
    return _normalize(path)


def _normalize(path: str) -> str:
    segments = path.split("/")
    if _MODELS_FOLLOW.isdisjoint(segments):
        return "/".join(map(_segment, segments, repeat(_DIGITS_IN_NAME)))
    longest = [_DIGITS_IN_MODEL if before in _MODELS_FOLLOW else _DIGITS_IN_NAME for before in ["", *segments]]
    return "/".join(map(_segment, segments, longest))


@lru_cache(maxsize=4096)
def _segment(segment: str, longest: int) -> str:
    """``longest``: how many digits a number inside a name may have."""
    if segment.isdecimal():  # most ids are, and each is a new one
        return ID
    plain = unquote(segment) if "%" in segment else segment
    if "@" in plain or "%40" in plain or _TELEGRAM_BOT.match(plain) or _is_number(plain):
        return ID
    parts = _DELIMITER.split(plain)
    parts[::2] = [_part(part, longest) for part in parts[::2]]
    normal = "".join(parts)
    if normal == plain:
        return segment
    # What was sent encoded does not go on decoded.
    return _IDS_IN_A_ROW.sub(ID, normal) if plain == segment else ID


def _part(part: str, longest: int) -> str:
    extension = _EXTENSION.search(part)
    stem = part[: extension.start()] if extension else part
    return ID + part[len(stem) :] if _is_id(stem, longest) else part


def _is_id(text: str, longest: int) -> bool:
    if _is_number(text):
        return longest == _DIGITS_IN_NAME or len(text) > longest
    words = _WORD.findall(text)
    if _UUID.search(text) or any(_is_token(word, longest) for word in words):
        return True
    return sum(map(len, words)) >= _TEXT_FROM and sum(map(_familiarity, words)) < _TEXT_LIMIT


def _is_number(text: str) -> bool:
    """Digits and separators only. ``1.1`` is a version."""
    return bool(_DIGITS.search(text)) and not _LETTER.search(text) and not _VERSION_NUMBER.fullmatch(text)


def _is_token(word: str, longest: int) -> bool:
    """Whether ``word``, letters and digits only, looks made up by a machine."""
    size = len(word)
    if word.isdecimal():
        return size > longest and not _YEAR_OR_DATE.fullmatch(word)
    if size < 6 or _VERSION.fullmatch(word) or word.lower() in _KNOWN_WORDS:
        return False
    digits = sum(map(len, _DIGITS.findall(word)))
    if digits >= 3 or (size >= (8 if digits else 16) and _HEX.fullmatch(word)):
        return True
    limit = _WORD_LIMIT if digits or size >= _LONG_WORD_FROM else _SHORT_WORD_LIMIT
    return size >= _WORD_FROM and _familiarity(word) < limit


def _familiarity(word: str) -> int:
    """Roughly the log2 of how much more likely ``word`` is a name than drawn by lot."""
    total = 0
    for first, second in zip(word, word[1:]):
        if first.isdigit() or second.isdigit():
            total += 0 if first.isdigit() and second.isdigit() else _INTO_OR_OUT_OF_NUMBER
        elif first.islower() and second.isupper():
            total += _NEW_HUMP
        else:
            total += _PAIRS.get((first + second).lower(), 0)
    return total
