"""Another part in the place of one of the product's: for a control, or to bring a moment about."""

from __future__ import annotations

_keeps_protections = False


def replace(owner: object, name: str, part: object) -> None:
    """In this process, for good: only in one of a row's own. Fails where there is no such part."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, part)


def take_away(owner: object, name: str, part: object) -> None:
    """The protection that a control does without: the same, unless this process keeps it."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    if not _keeps_protections:
        replace(owner, name, part)


def keep_protections() -> None:
    """In this process, and those that it forks: controls do what they do with the protection in its place."""
    global _keeps_protections  # noqa: PLW0603 - of a process of a row's own
    _keeps_protections = True
