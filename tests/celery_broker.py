"""A broker that needs no server: a folder."""

from __future__ import annotations

from pathlib import Path


def broker(folder: Path) -> dict[str, object]:
    """Settings for a worker, and for those who send it tasks."""
    messages, control = folder / "messages", folder / "control"
    for place in (messages, control):
        place.mkdir(exist_ok=True)
    return {
        "broker_url": "filesystem://",
        "broker_transport_options": {
            "data_folder_in": str(messages),
            "data_folder_out": str(messages),
            "control_folder": str(control),
            "polling_interval": 0.05,
        },
    }
