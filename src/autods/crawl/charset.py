"""From the bytes of a page to its text, by the encoding that a browser would read it in."""

from codecs import BOM_UTF8

# The encodings of the WHATWG standard by Python's names: a page may not choose any other codec.
_KNOWN = frozenset(
    "utf-8 utf-16-le utf-16-be cp866 iso8859-2 iso8859-3 iso8859-4 iso8859-5 iso8859-6 iso8859-7 "
    "iso8859-8 iso8859-10 iso8859-13 iso8859-14 iso8859-15 iso8859-16 koi8-r koi8-u mac-roman "
    "mac-cyrillic cp874 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 gb18030 "
    "big5hkscs euc_jp iso2022_jp cp932 cp949".split()
)
_LONGEST_HEADER = 1000


def text_of(data: bytes, content_type: str | None = None) -> str:
    r"""Decode a page by its byte order mark, the server's word or its own `<meta>`, in this order.

    Without any it is UTF-8, or windows-1252 if it cannot be that. What cannot be decoded becomes
    U+FFFD.

    >>> text_of(b"<meta charset=latin1>M\xfcll"), text_of(b"M\xfc", "text/html; charset=koi8-r")
    ('<meta charset=latin1>Müll', 'MЭ')
    """
    from w3lib.encoding import read_bom, to_unicode

    name, mark = read_bom(data)
    if name and mark and name in _KNOWN:
        return to_unicode(data[len(mark) :], name)
    name = _declared(data, content_type)
    if name is not None:
        return to_unicode(data, name)
    try:
        return data.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _declared(data: bytes, content_type: str | None) -> str | None:
    """Find what is said of the encoding, if it is one that a page may be in."""
    from w3lib.encoding import html_body_declared_encoding, http_content_type_encoding

    name = http_content_type_encoding((content_type or "")[:_LONGEST_HEADER])
    if name in ("utf-16", "utf-16-le"):
        return "utf-16-le"
    if name in _KNOWN:
        return name
    name = html_body_declared_encoding(data)
    if name is not None and name.startswith("utf-16"):
        return "utf-8"  # Who could read that it is UTF-16 read it in something else.
    return name if name in _KNOWN else None
