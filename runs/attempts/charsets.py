"""Reads a response's body as text, in the character set that it declares. Pure; linear in the body.

Labels mean what the Encoding Standard (WHATWG) defines, so `iso-8859-1` is windows-1252. Only the labels listed here
are ever looked up: Python's other codecs (`hex`, `zip`, `unicode_escape`, `utf-7`) are no character sets, or hide the
text.
"""

import codecs
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

#: Codecs by the labels that servers use for them.
_LABELS = {
    "utf-8": "utf-8 utf8 unicode-1-1-utf-8 utf8mb4 utf8mb3 utf-8-sig unicode11utf8 unicode20utf8 x-unicode20utf8",
    "cp1252": "windows-1252 cp1252 x-cp1252 ascii us-ascii ansi_x3.4-1968 iso-8859-1 iso8859-1 iso88591 iso_8859-1 "
    "iso_8859-1:1987 iso-ir-100 latin1 latin-1 l1 cp819 ibm819 csisolatin1",
    "iso8859-2": "iso-8859-2 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 iso-ir-101 latin2 latin-2 l2 csisolatin2",
    "iso8859-3": "iso-8859-3 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 iso-ir-109 latin3 l3 csisolatin3",
    "iso8859-4": "iso-8859-4 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 iso-ir-110 latin4 l4 csisolatin4",
    "iso8859-5": "iso-8859-5 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988 iso-ir-144 cyrillic csisolatincyrillic",
    "iso8859-6": "iso-8859-6 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987 iso-ir-127 arabic asmo-708 ecma-114 "
    "csisolatinarabic iso-8859-6-e iso-8859-6-i",
    "iso8859-7": "iso-8859-7 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 iso-ir-126 greek greek8 ecma-118 elot_928 "
    "csisolatingreek sun_eu_greek",
    "iso8859-8": "iso-8859-8 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 iso-ir-138 hebrew visual csisolatinhebrew "
    "iso-8859-8-e iso-8859-8-i logical csiso88598e csiso88598i",
    "cp1254": "windows-1254 cp1254 x-cp1254 iso-8859-9 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 iso-ir-148 latin5 "
    "latin-5 l5 csisolatin5",
    "iso8859-10": "iso-8859-10 iso8859-10 iso885910 iso-ir-157 latin6 l6 csisolatin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "iso-8859-15 iso8859-15 iso885915 iso_8859-15 latin-9 latin9 l9 csisolatin9",
    "iso8859-16": "iso-8859-16 iso8859-16",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1253": "windows-1253 cp1253 x-cp1253",
    "cp1255": "windows-1255 cp1255 x-cp1255",
    "cp1256": "windows-1256 cp1256 x-cp1256",
    "cp1257": "windows-1257 cp1257 x-cp1257",
    "cp1258": "windows-1258 cp1258 x-cp1258",
    "cp874": "windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 cp874",
    "cp437": "cp437 ibm437",
    "cp850": "cp850 ibm850",
    "cp866": "ibm866 cp866 866 csibm866",
    "koi8-r": "koi8-r koi8 koi koi8_r cskoi8r",
    "koi8-u": "koi8-u koi8-ru",
    "mac-roman": "macintosh mac x-mac-roman csmacintosh",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "gb18030 gbk x-gbk gb2312 gb_2312 gb_2312-80 csgb2312 csiso58gb231280 chinese iso-ir-58 cp936",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jp": "euc-jp x-euc-jp cseucpkdfmtjapanese",
    "cp932": "shift_jis shift-jis sjis x-sjis ms932 ms_kanji windows-31j csshiftjis cp932",
    "iso2022_jp_ext": "iso-2022-jp csiso2022jp",
    "cp949": "euc-kr korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949 iso-ir-149 cseuckr cp949",
    "utf-16-le": "utf-16 utf-16le utf16 utf16le ucs-2 iso-10646-ucs-2 csunicode unicode unicodefeff",
    "utf-16-be": "utf-16be utf16be unicodefffe",
    "utf-32-le": "utf-32le utf32le utf-32 utf32",
    "utf-32-be": "utf-32be utf32be",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
#: In these, bytes below 128 may not be ASCII.
_NOT_ASCII = frozenset({"utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "iso2022_jp_ext"})
#: The longer ones first: UTF-32's begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(r";\s{0,20}charset\s{0,20}=\s{0,20}(?:\"([^\"]{0,100})\"|([^\s;,\"]{1,100}))", re.IGNORECASE)
_IN_MARKUP = re.compile(
    rb"<meta\b[^>]{0,500}?charset\s{0,20}=\s{0,20}[\"']?\s{0,20}([A-Za-z0-9_.:-]{1,40})"
    rb"|^\s{0,20}<\?xml\b[^>]{0,200}?encoding\s{0,20}=\s{0,20}[\"']([A-Za-z0-9_.:-]{1,40})",
    re.IGNORECASE,
)
_MARKUP_BYTES = 1024  # where a page has to declare it, by the HTML standard
_MAX_CHARACTERS = 200
_C1 = range(0x80, 0xA0)


class Reading(NamedTuple):
    """A body as UTF-8, or as it came if it can't be read as text.

    `unreadable` says why: whether such a body contains a text beyond ASCII is unknown. `opaque`: so it is for any text.
    `note` is a sentence for the run.
    """

    body: bytes
    unreadable: str | None = None
    opaque: bool = False
    note: str | None = None


class _Type(NamedTuple):
    """A Content-Type's declaration of the text. `codec` is None for an unknown or a missing label.

    `is_plain`: a body of ASCII bytes is ASCII text.
    """

    label: str | None
    codec: str | None
    is_json: bool
    is_markup: bool
    is_plain: bool


def reading_of(headers: Mapping[str, str], body: bytes, *, truncated: bool) -> Reading | None:
    """Read a body by its response's headers (names in lower case). None: it is plain ASCII, as it came."""
    declared = _type_of(headers.get("content-type", "")[:_MAX_CHARACTERS])
    if not body or (body.isascii() and declared.is_plain and b"\0" not in body):
        return None
    for mark, codec in _MARKS:
        if body.startswith(mark):
            return _read(body, codec, skip=len(mark), label=codec, truncated=truncated)
    if declared.is_json:
        return _read_json(body, declared, truncated=truncated)
    if declared.codec is not None:
        return _read(body, declared.codec, label=declared.label or "", truncated=truncated)
    return _read_undeclared(body, declared, truncated=truncated)


def _read_json(body: bytes, declared: _Type, *, truncated: bool) -> Reading:
    """JSON is UTF-8, whatever its type declares (RFC 8259, section 8.1); if not, the declared charset may help."""
    as_utf8 = _read(body, "utf-8", label="utf-8", truncated=truncated)
    if as_utf8.unreadable is None:
        return as_utf8
    for codec in (json.detect_encoding(body), declared.codec):
        if codec is not None and codec != "utf-8":
            other = _read(body, codec, label=codec, truncated=truncated)
            if other.unreadable is None:
                return other
    return as_utf8


def _read_undeclared(body: bytes, declared: _Type, *, truncated: bool) -> Reading:
    """UTF-8 if the bytes are that; else what a page declares in its markup."""
    as_utf8 = _read(body, "utf-8", label=None, truncated=truncated)
    if declared.label is not None and (as_utf8.unreadable is not None or body.isascii()):
        label = declared.label[:40]
        note = f"Hourhand can't read the body's charset {label!r}: these are the bytes as they came."
        return Reading(body, f"its charset {label!r} is unknown", note=None if body.isascii() else note)
    if as_utf8.unreadable is not None and declared.is_markup:
        match = _IN_MARKUP.search(body[:_MARKUP_BYTES])
        codec = _CODECS.get((match[1] or match[2]).decode().lower()) if match else None
        if codec is not None and codec not in _NOT_ASCII:  # such a page could not declare it in ASCII
            return _read(body, codec, label=codec, truncated=truncated)
    return as_utf8


def _read(body: bytes, codec: str, *, label: str | None, truncated: bool, skip: int = 0) -> Reading:
    try:
        text = _decoded(body[skip:], codec, truncated=truncated)
    except UnicodeError:
        text = "\0"
    if "\0" not in text:
        return Reading(body if codec == "utf-8" and not skip else text.encode(errors="replace"))
    why = f"its bytes are not valid {label or 'utf-8'}"
    note = None if label is None else f"The body could not be read, since {why}: these are the bytes as they came."
    return Reading(body, why, opaque=codec in _NOT_ASCII, note=note)


def _decoded(body: bytes, codec: str, *, truncated: bool) -> str:
    """Decode a body; one that was cut may lack a part of its last character. Raises UnicodeError."""
    table = _table(codec)
    if table is not None:
        return codecs.charmap_decode(body, "strict", table)[0]
    return codecs.getincrementaldecoder(codec)().decode(body, final=not truncated)


@lru_cache(maxsize=64)
def _table(codec: str) -> str | None:
    """The 256 characters of one of Microsoft's character sets, with WHATWG's C1 controls where it has none."""
    if not codec.startswith("cp125"):
        return None
    return "".join(
        chr(octet) if character == "\ufffd" and octet in _C1 else "\ufffe" if character == "\ufffd" else character
        for octet in range(256)
        for character in bytes([octet]).decode(codec, "replace")
    )


@lru_cache(maxsize=4096)
def _type_of(content_type: str) -> _Type:
    media = re.split(r"[;,]", content_type, maxsplit=1)[0].strip().lower()
    match = _CHARSET.search(content_type)
    label = (match[1] if match[1] is not None else match[2]).strip(" '").lower() if match else None
    codec = _CODECS.get(label or "")
    is_json = media.endswith(("/json", "+json"))
    is_markup = media.endswith(("html", "/xml", "+xml"))
    is_plain = codec not in _NOT_ASCII and (not label or codec is not None or is_json)
    return _Type(label or None, codec, is_json, is_markup, is_plain)
