"""What the system said of a file, in words for a person: without the class and the number in Python's own text."""

from __future__ import annotations

DOCTOR_SAYS_WHAT = "recost-collector doctor says what is wrong"
"""What to do where more is known to who looks at the whole host."""


def in_words(exc: BaseException) -> str:
    """The end of a sentence: ``permission denied``."""
    said = getattr(exc, "strerror", None)
    return sentence(said if isinstance(said, str) else "") or plain(str(exc)) or type(exc).__name__


def about_file(exc: OSError) -> str:
    """The same behind the file's name, where ``exc`` tells it."""
    return f"{plain(exc.filename)}: {in_words(exc)}" if isinstance(exc.filename, str) else in_words(exc)


def sentence(text: str) -> str:
    """``text`` without the capital of its first word, unless that is an acronym."""
    text = plain(text)
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def plain(text: str) -> str:
    """On one line, and nothing in it that a terminal would obey."""
    return "".join(char if char.isprintable() else " " for char in text)
