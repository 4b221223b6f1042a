"""What identifies people and their accounts: e-mail addresses, payment cards, IBANs, telephone numbers. Pure.

Python's own engine searches; see `credentials` for why that is safe: every pattern begins at a literal or at the start
of a run, and reads each character in one way only.
"""

import re
from collections.abc import Iterator
from typing import Final

from portkey_mcp.policy.guards.span import Span

LABELS: Final = frozenset({"email", "card", "iban", "phone"})

_DOMAIN: Final = re.compile(r"@(?:[^\W_][\w-]{0,62}+\.){1,8}(xn--[a-z0-9-]{2,59}|[^\W\d_]{2,24})(?![\w-])")
_LOCAL: Final = re.compile(r"[\w.%+-]{1,65}+")
_LONGEST_LOCAL: Final = 64
"""Characters before the @ (RFC 5321)."""
_FILES: Final = frozenset(
    {
        *("png", "jpg", "jpeg", "gif", "webp", "svg", "ico", "bmp", "avif"),
        *("pdf", "tgz", "gz", "css", "scss", "js", "mjs", "ts", "tsx", "json", "html", "xml"),
    }
)
"""Endings that are no top-level domain: icon@2x.png and package@next.tgz are files."""


def emails(text: str) -> Iterator[Span]:
    """E-mail addresses with a domain that has a dot; not `git@host:path`, not file names, not versions."""
    if "@" not in text:
        return
    for found in _DOMAIN.finditer(text):
        start, end = found.span()
        # Backwards from the @, so that only what has one is looked at.
        local = _LOCAL.match(text[max(0, start - _LONGEST_LOCAL - 1) : start][::-1])
        if local is None or local.end() > _LONGEST_LOCAL or found[1].lower() in _FILES:
            continue
        if local[0] != "git"[::-1] or text[end : end + 1] not in (":", "/"):
            yield Span(start - local.end(), end, "email")


_GAP: Final = "[ \u00a0\u202f-]"
_CARD: Final = re.compile(
    r"[2-9](?<![\w.+/-][2-9])(?:"
    rf"[0-9]{{13,18}}|[0-9]{{3}}(?P<four>{_GAP})[0-9]{{4}}(?P=four)[0-9]{{4}}(?P=four)[0-9]{{4}}(?:(?P=four)[0-9]{{3}})?"
    rf"|[0-9]{{3}}(?P<six>{_GAP})[0-9]{{6}}(?P=six)[0-9]{{4,5}}"
    r")(?![\w+])(?![.-][0-9])"
)
_ISSUERS: Final = tuple(
    (re.compile(prefix), frozenset(lengths))
    for prefix, lengths in (
        (r"4", (16, 19)),
        (r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720", (16,)),
        (r"3[47]", (15,)),
        (r"6011|64[4-9]|65", (16, 19)),
        (r"30[0-5]|3[689]", (14, 16, 19)),
        (r"35(?:2[89]|[3-8])", (16, 17, 18, 19)),
        (r"62|81", (16, 17, 18, 19)),
        (r"50[0-9]{2}|5[6-8]|6304|67", (16, 18, 19)),
        (r"220[0-4]|60|9792", (16,)),
    )
)
"""Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro, and Mir, RuPay and Troy. Visas of 13
digits were given out last in the past century; 13 digits today are article numbers and milliseconds."""
_DOUBLED: Final = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def cards(text: str) -> Iterator[Span]:
    """Numbers of payment cards, in one run or in an issuer's groups, with a known beginning and a right check digit."""
    for found in _CARD.finditer(text):
        digits = re.sub(_GAP, "", found[0])
        if _is_card(digits):
            yield Span(found.start(), found.end(), "card")


def _is_card(digits: str) -> bool:
    issued = any(len(digits) in lengths and prefix.match(digits) for prefix, lengths in _ISSUERS)
    if not issued or len(set(digits)) < 2:
        return False
    backwards = [int(digit) for digit in reversed(digits)]
    return (sum(backwards[::2]) + sum(_DOUBLED[digit] for digit in backwards[1::2])) % 10 == 0


_BY_LENGTH: Final = {
    15: "NO",
    16: "BE",
    18: "DKFIFKFOGLNLSD",
    19: "MKSI",
    20: "ATBAEEKZLTLUMNXK",
    21: "CHHRLILV",
    22: "BGBHCRDEGBGEIEMERSVA",
    23: "AEGIILIQOMSOTL",
    24: "ADCZESMDPKROSASESKTNVG",
    25: "LYPTST",
    26: "ISTR",
    27: "BIDJFRGRITMCMRSM",
    28: "ALAZBYCYDOGTHNHULBNIPLSV",
    29: "BREGPSQAUA",
    30: "JOKWMUYE",
    31: "MTSC",
    32: "LC",
    33: "RU",
}
"""Characters of an IBAN, and the countries whose IBANs have so many, from SWIFT's registry."""
_COUNTRIES: Final = {codes[at : at + 2]: n for n, codes in _BY_LENGTH.items() for at in range(0, len(codes), 2)}
_IBAN: Final = re.compile(r"[A-Z](?<![A-Za-z0-9+/_][A-Z])[A-Z](?=[0-9]{2})")
_OF_LENGTH: Final = {
    length: re.compile(rf"[A-Z]{{2}}(?:{_GAP}?[A-Z0-9]){{{length - 2}}}(?![A-Za-z0-9+/_])")
    for length in set(_COUNTRIES.values())
}


def ibans(text: str) -> Iterator[Span]:
    """International bank account numbers (ISO 13616), in one run or in groups, with a right checksum."""
    for found in _IBAN.finditer(text):
        length = _COUNTRIES.get(found[0])
        whole = _OF_LENGTH[length].match(text, found.start()) if length is not None else None
        if whole is not None and _is_iban(re.sub(_GAP, "", whole[0])):
            yield Span(whole.start(), whole.end(), "iban")


def _is_iban(signs: str) -> bool:
    return int("".join(str(int(sign, 36)) for sign in signs[4:] + signs[:4])) % 97 == 1


_PHONE: Final = re.compile(r"\+(?<![\w+=/.)-]\+)[1-9](?:[ .()/\u00a0-]{0,2}+[0-9]){8,30}+(?![\w+=/])")
_LAST_GROUP: Final = re.compile(r"[ .()/\u00a0-]+[0-9]+$")
_DIGITS: Final = range(9, 16)
"""Of a number with its country's code: at most 15 (ITU-T E.164), and with fewer than 9 it may be any number."""


def phones(text: str) -> Iterator[Span]:
    """Telephone numbers in international form, `+` and 9 to 15 digits, in one run or in groups.

    What follows in further groups, like a year, is taken off until 15 digits are left.
    """
    if "+" not in text:
        return
    for found in _PHONE.finditer(text):
        number = found[0]
        while _count(number) > _DIGITS[-1] and (group := _LAST_GROUP.search(number)) is not None:
            number = number[: group.start()]
        if _count(number) in _DIGITS:
            yield Span(found.start(), found.start() + len(number), "phone")


def _count(number: str) -> int:
    return sum("0" <= sign <= "9" for sign in number)
