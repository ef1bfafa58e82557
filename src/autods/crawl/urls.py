"""One spelling for every URL, so that a page is read once under whatever name it is linked."""

import re
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import unquote, urlsplit

from autods.errors import UsageError
from autods.records import Refusal
from autods.web.guard import parse_url

LONGEST = 1800
"""In bytes; what is longer is no URL for us, and a unique index of any database holds it."""

# Parameters that tell who came from where, and change nothing about what is shown.
_TRACKING = frozenset(
    "gclid gclsrc dclid gbraid wbraid fbclid msclkid yclid ysclid twclid ttclid li_fat_id igshid "
    "igsh mc_cid mc_eid srsltid _ga _gl _hsenc _hsmi __hstc __hssc __hsfp hsctatracking mkt_tok "
    "oly_anon_id oly_enc_id vero_id wickedid _openstat".split()
)
_SESSIONS = frozenset("jsessionid phpsessid sessionid session_id cfid cftoken zenid oscsid".split())
# These name a session only if they look like one: `sid=7` may well be a story.
_MAYBE_SESSIONS = frozenset({"sid", "s_id", "session", "sess"})
_SESSION_WORD = re.compile(r"(?=[a-z]*\d)[0-9a-z]{16,}", re.IGNORECASE)
_PATH_SESSION = re.compile(
    r";(?:jsessionid|phpsessid|sessionid|sid)=[^/;]*|/\([asfx]\([^)/]+\)\)(?=/)", re.IGNORECASE
)

_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})?")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ODD_IN_PATH = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/%-]")
_ODD_IN_QUERY = re.compile(r"[^A-Za-z0-9._~!$&'()*+,;=:@/?%-]")
_BLANKS = "".join(map(chr, range(33)))
_BREAKS = re.compile("[\t\n\r]")

_IMAGE_NAME = re.compile(
    r"(?:(?!%3a)[^:])*\.(?:jpe?g|jpe|jfif|png|apng|gif|webp|avif|heic|heif|bmp|tiff?|svg|ico)",
    re.IGNORECASE,
)


def normalise(url: str, base: str | None = None, *, keep_query: bool = False) -> str | None:
    r"""Give the one spelling of an http(s) URL, as written in a page at `base`; None if it is none.

    Equal by RFC 3986 (6.2.2, 6.2.3) is spelled equal: scheme and host in lower case, no default
    port, no fragment, no dot segments, percent-encoding only where it must be, in upper case. As
    browsers do, blanks around it and breaks within are dropped and `\` is read as `/`. Beyond it:
    what names a session or a campaign (`utm_*`, `gclid`, `;jsessionid=`, ...) is dropped, and
    the other parameters are sorted by name, those of one name in their order, if all have one.
    `keep_query` leaves the query as it is, for an image's may be signed.

    None is anything else than http(s), with a user or password, or above 1,800 bytes. Whatever is
    given is given again for itself, and `parse_url` takes it without a change.

    >>> normalise("../Cat%7e.JPG?b=2&utm_source=x&a=1#top", "HTTP://Example.org:80/a/b/c")
    'http://example.org/a/Cat~.JPG?a=1&b=2'
    >>> normalise("a.jpg?w=9&sig=%2f", "https://example.org", keep_query=True)
    'https://example.org/a.jpg?w=9&sig=%2f'
    >>> [normalise(url) for url in ("mailto:me@a.org", "cat.jpg", "http://me:hush@a.org/")]
    [None, None, None]
    """
    try:
        target = parse_url(_absolute(url, base))
        if isinstance(target, Refusal):
            return None
        scheme, _, rest = target.url.partition("://")
        path, mark, query = rest[rest.index("/") :].partition("?")
        query = query if keep_query else _query(query)
        host = _host(target.host)
    except ValueError:
        return None
    found = f"{scheme}://{host}{_path(path)}" + (f"?{query}" if mark and query else "")
    return found if len(found) <= LONGEST else None


def origin_of(url: str) -> str:
    """Give who is asked for a URL, as `scheme://host:port`, the port always written out.

    Raises UsageError for what is no http(s) URL.

    >>> origin_of("https://example.org/cat.jpg")
    'https://example.org:443'
    """
    target = parse_url(url)
    if isinstance(target, Refusal):
        raise UsageError(f"{url!r:.200} is no http(s) URL: {target.detail}")
    return target.host


def looks_like_image(url: str) -> bool:
    """Tell by the end of its path whether a URL, in full, names an image.

    A name with a colon does not: `File:Cat.jpg` is a page of a MediaWiki about one.

    >>> looks_like_image("http://a.org/cat.JPG?w=9"), looks_like_image("http://a.org/?f=cat.jpg")
    (True, False)
    """
    path = url.partition("#")[0].partition("?")[0]
    name = path[path.rfind("/") + 1 :]
    return _IMAGE_NAME.fullmatch(name) is not None


def _absolute(url: str, base: str | None) -> str:
    """Give a URL as a browser reads it; a ValueError says that it is none."""
    if len(url) > 4 * LONGEST:
        raise ValueError("too long")
    url = _BREAKS.sub("", url.strip(_BLANKS))
    head, mark, query = url.partition("#")[0].partition("?")
    url = head.replace("\\", "/") + mark + query
    if found := _SCHEME.match(url):
        if found[1].lower() not in ("http", "https") or not url.startswith("//", found.end()):
            raise ValueError("another scheme, or no host")
        return url
    return url if base is None else _joined(url, *_parts(base))


def _joined(url: str, scheme: str, host: str, path: str, query: str) -> str:
    """Resolve a reference (RFC 3986, 5.2.2), but for its dots; `urljoin` loses an empty `;`."""
    if url.startswith("//"):
        return f"{scheme}:{url}"
    if url.startswith("/"):
        return f"{scheme}://{host}{url}"
    if url.startswith("?"):
        return f"{scheme}://{host}{path}{url}"
    if not url:
        return f"{scheme}://{host}{path}{query}"
    return f"{scheme}://{host}{path[: path.rfind('/') + 1] or '/'}{url}"


@lru_cache(maxsize=64)
def _parts(base: str) -> tuple[str, str, str, str]:
    parts = urlsplit(base)
    return parts.scheme, parts.netloc, parts.path, f"?{parts.query}" if parts.query else ""


def _host(origin: str) -> str:
    """Give host and port, without the scheme's own port and the dot that ends a full name."""
    scheme, _, place = origin.partition("://")
    name, _, port = place.rpartition(":")
    if name.startswith("["):
        name = f"[{IPv6Address(name[1:-1])}]"
    elif not (name := name.rstrip(".")):
        raise ValueError("no host")
    return name if (scheme, port) in (("http", "80"), ("https", "443")) else f"{name}:{port}"


def _path(path: str) -> str:
    """Give a path, which begins with a slash, in its one spelling."""
    if "%" in path or _ODD_IN_PATH.search(path):
        path = _ODD_IN_PATH.sub(_escaped, _ESCAPE.sub(_unescaped, path))
    if ";" in path or "(" in path:
        path = _PATH_SESSION.sub("", path)
    return _without_dots(path) if "/." in path else path


def _without_dots(path: str) -> str:
    """Resolve `.` and `..` (RFC 3986, 5.2.4); nothing lies above the root."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for part in parts:
        if part == "..":
            del kept[-1:]
        elif part != ".":
            kept.append(part)
    if parts[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    if "%" in query or _ODD_IN_QUERY.search(query):
        query = _ODD_IN_QUERY.sub(_escaped, _ESCAPE.sub(_unescaped, query))
    parts = [part for part in query.split("&") if part and not _is_noise(part)]
    if all("=" in part for part in parts):
        parts.sort(key=lambda part: part.partition("=")[0])
    return "&".join(parts)


def _is_noise(parameter: str) -> bool:
    """Tell whether a parameter names a session or a campaign."""
    name, _, value = parameter.partition("=")
    name = unquote(name).lower()
    if name.startswith(("utm_", "aspsessionid")) or name in _TRACKING or name in _SESSIONS:
        return True
    return name in _MAYBE_SESSIONS and _SESSION_WORD.fullmatch(value) is not None


def _unescaped(found: re.Match[str]) -> str:
    """Decode what needs no escape; a lone percent sign is one that stands for itself."""
    if found[1] is None:
        return "%25"
    byte = int(found[1], 16)
    return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"


def _escaped(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"
