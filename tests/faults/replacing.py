"""Another part in the place of one of the product's: for a control, or to bring a moment about."""

from __future__ import annotations


def replace(owner: object, name: str, part: object) -> None:
    """In this process, for good: only in one of a row's own. Fails where there is no such part."""
    assert hasattr(owner, name), f"{owner} has no {name}"
    setattr(owner, name, part)
