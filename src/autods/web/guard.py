"""What may be asked for and who may be asked: the syntax of a URL, and the address behind a name.

Two gates, because a URL cannot be judged by its text alone. `parse_url` refuses what is not a
plain http(s) URL. `may_connect` judges the address a socket is about to be connected to, so that
`http://2130706433/`, a public name that resolves to 127.0.0.1, and a redirect into the own network
all meet the same answer: the address, not the name, decides.
"""

import re
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple
from urllib.parse import SplitResult, quote, urlsplit

from autods.errors import UsageError
from autods.records import Refusal

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# The IANA special-purpose registry (RFC 6890 and its updates), written out because the answer of
# `ipaddress.is_global` has changed between patch releases of Python. The last entry is Azure's
# metadata and wire server, a public number that exists only inside the own virtual network.
_CLOSED_V4 = tuple(
    IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "168.63.129.16/32",
    )
)
# IPv6 the other way round: only global unicast is open, less protocol assignments (Teredo among
# them) and documentation.
_OPEN_V6 = IPv6Network("2000::/3")
_CLOSED_V6 = tuple(IPv6Network(c) for c in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]+\]")
_UNSAFE = re.compile(r"[^\x21-\x7e]")
# What most lists consist of: read in 1 us where `urlsplit` takes 6.
_PLAIN = re.compile(r"(https?)://([a-z0-9._-]{1,253})(?::([1-9][0-9]{0,4}))?/[!\"$-~]*")
_PORTS = {"http": 80, "https": 443}


class Target(NamedTuple):
    """A URL fit for the wire (ASCII, no fragment) and the host it is asked of, `scheme://host:port`."""

    url: str
    host: str


def parse_url(url: str) -> Target | Refusal:
    """Turn a URL as found in a list into one fit for the wire, or say why it is refused.

    Spaces and letters outside ASCII are percent-encoded as UTF-8, and a host name in another script
    becomes its IDNA form, as a browser does it. Refused are `bad-url` (control characters, no
    host, a user name or password) and `unsupported-scheme` (all but http and https).

    >>> parse_url("http://Bücher.example/Füße 1.jpg#top")
    Target(url='http://xn--bcher-kva.example/F%C3%BC%C3%9Fe%201.jpg', host='http://xn--bcher-kva.example:80')
    >>> parse_url("ftp://example.org/a.jpg").reason
    'unsupported-scheme'
    """
    plain = _PLAIN.fullmatch(url)
    if plain is not None and int(plain[3] or 0) < 65536:
        scheme, host, port = plain.groups()
        return Target(url, f"{scheme}://{host}:{port or _PORTS[scheme]}")
    try:
        return _parse(url)
    except ValueError as error:
        return Refusal("rejected", "bad-url", str(error))


def check_url(url: str) -> Refusal | None:
    """Say why a URL would be refused before anything is asked for; None if it is fit to be tried.

    >>> check_url("https://example.org/cat.jpg") is None
    True
    >>> check_url("https://me:secret@example.org/cat.jpg").detail
    'the URL carries a user name or password'
    """
    parsed = parse_url(url)
    return parsed if isinstance(parsed, Refusal) else None


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet, where a crawl has its business.

    Not public are loopback, private, link-local (cloud metadata), carrier-grade NAT, multicast,
    reserved, documentation and unspecified addresses, and every IPv6 form that carries such an IPv4
    address (mapped, 6to4, NAT64) or tunnels to an unknown one (Teredo). What is no address is not
    public either.

    >>> [is_public(a) for a in ("93.184.215.14", "169.254.169.254", "::ffff:10.0.0.1")]
    [True, False, False]
    """
    parsed = _address(address)
    if parsed is None:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _CLOSED_V4)
    if parsed in _NAT64:
        return is_public(str(IPv4Address(int(parsed) & 0xFFFFFFFF)))
    if parsed.sixtofour is not None:
        return is_public(str(parsed.sixtofour))
    return parsed in _OPEN_V6 and not any(parsed in network for network in _CLOSED_V6)


def networks(cidrs: Sequence[str]) -> tuple[Network, ...]:
    """Read a list of CIDRs (`10.0.0.0/8`, `127.0.0.1/32`, `fd00::/8`).

    Raises UsageError naming the one that is none.
    """
    if isinstance(cidrs, str):
        raise UsageError(f"allow_private={cidrs!r} must be a tuple of networks, as ('{cidrs}',)")
    try:
        return tuple(ip_network(cidr) for cidr in cidrs)
    except ValueError as error:
        raise UsageError(f"{error}; write networks like '10.0.0.0/8' or '127.0.0.1/32'") from None


def may_connect(address: str, allowed: Sequence[Network] = ()) -> bool:
    """Whether a socket may be connected to this address: it is public, or lies in `allowed`.

    >>> may_connect("127.0.0.1"), may_connect("127.0.0.1", networks(["127.0.0.1/32"]))
    (False, True)
    """
    parsed = _address(address)
    return is_public(address) or any(parsed in network for network in allowed)


def _address(text: str) -> Address | None:
    """Read an address; an IPv6 zone is dropped and a mapped IPv4 address is what it maps."""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _parse(url: str) -> Target | Refusal:
    """Read a URL; a ValueError says in one sentence, free of secrets, why it is none."""
    # urlsplit silently drops tabs, line ends and leading blanks: they are looked for first.
    if _CONTROL.search(url) or url != url.strip():
        raise ValueError("the URL has control characters, or blanks around it")
    parts = urlsplit(url)
    if not parts.scheme:
        raise ValueError("the URL has no scheme")
    if parts.scheme not in _PORTS:
        detail = f"the scheme is {parts.scheme}; only http and https are fetched"
        return Refusal("rejected", "unsupported-scheme", detail)
    if "@" in parts.netloc:
        raise ValueError("the URL carries a user name or password")
    authority, host = _authority(parts)
    rest = url[url.index("//") + 2 + len(parts.netloc) :].partition("#")[0]
    slash = "" if rest.startswith("/") else "/"
    return Target(f"{parts.scheme}://{authority}{slash}{_quoted(rest)}", f"{parts.scheme}://{host}")


def _authority(parts: SplitResult) -> tuple[str, str]:
    """Return `host[:port]` as it goes into the URL, and with the port always written out."""
    name, port = parts.hostname or "", parts.port
    if not name:
        raise ValueError("the URL has no host")
    if port == 0:
        raise ValueError("the URL names port 0")
    if not name.isascii():
        name = name.encode("idna").decode("ascii")
    if ":" in name:
        name = f"[{name}]"
    if not _HOST.fullmatch(name):
        raise ValueError("the host of the URL holds a character that no host name has")
    suffix = "" if port is None else f":{port}"
    return name + suffix, f"{name}:{port or _PORTS[parts.scheme]}"


def _quoted(text: str) -> str:
    """Percent-encode what may not stand in a URL, and leave everything else exactly as it was."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda match: quote(match[0], safe=""), text)
