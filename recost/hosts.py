"""Host names and base URLs as people write them in settings. Pure; no ``urllib`` for a worker to import."""

from __future__ import annotations

from typing import NamedTuple, Optional

MAX_HOST = 253
NO_HOST_HAS = frozenset(" /\\*@?#%[],;\"'<>{}|^`")


class Url(NamedTuple):
    """The parts of a base URL."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    """Lower case, without brackets."""
    port: str
    """Empty where the URL names none."""
    path: str
    """Without trailing slash."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}{':' if self.port else ''}{self.port}{self.path}"


def normal_host(text: str) -> str:
    """A host as captured calls have it: small, ASCII, no brackets, no trailing dot. Empty when it cannot be one."""
    host = text.lower()
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host.rstrip(".")
    host = ascii_host(host)
    # A single colon is a port's, an IPv6 address has two or more.
    if not 0 < len(host) <= MAX_HOST or host.startswith(".") or host.count(":") == 1:
        return ""
    return host if host.isprintable() and NO_HOST_HAS.isdisjoint(host) else ""


def ascii_host(host: str) -> str:
    """``host``, in small letters, as it goes over the wire and as every client puts it there (IDNA)."""
    return host if host.isascii() else ".".join(map(_ascii_label, host.split(".")))


def split_base_url(text: str) -> Optional[Url]:
    """The parts of an http or https URL; None for anything else, also for one with user, query or fragment."""
    scheme, _, rest = text.partition("://")
    netloc, slash, path = rest.partition("/")
    visible = text.isascii() and text.isprintable() and " " not in text
    if scheme.lower() not in {"http", "https"} or not visible or not frozenset("?#\\").isdisjoint(rest):
        return None
    bare = netloc.endswith("]") or ":" not in netloc
    written, port = (netloc, "") if bare else netloc.rsplit(":", 1)
    host = normal_host(written)
    if not host or (":" in host) != written.startswith("["):
        return None
    if not bare and not _is_port(port):
        return None
    return Url(scheme.lower(), host, port, (slash + path).rstrip("/"))


def is_loopback(host: str) -> bool:
    """Whether what is sent to ``host`` stays on this machine, as far as its name tells."""
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdigit() for part in parts)


def travels_unencrypted(base_url: str) -> bool:
    """Whether a key that is sent there leaves this machine for others to read."""
    url = split_base_url(base_url)
    return url is not None and url.scheme == "http" and not is_loopback(url.host)


def _ascii_label(label: str) -> str:
    """``münchen`` becomes ``xn--mnchen-3ya``."""
    if label.isascii() or not label.isprintable():
        return label
    from unicodedata import normalize  # noqa: PLC0415 - for those who have such a host

    return "xn--" + normalize("NFC", label).encode("punycode").decode("ascii")


def _is_port(text: str) -> bool:
    return text.isdigit() and len(text) <= 5 and 0 < int(text) <= 65535
