"""Secrets that say what they are by their form: keys of the big providers, JSON Web Tokens, private keys. Pure.

The patterns are ours, so Python's own engine may search: each begins at a literal or at the first character of a run,
and no repetition can be read in two ways, so that time is linear in the text. (RE2 would want a copy of the text in
UTF-8, and of a lone surrogate there is none.) A literal that is not in the text saves the search.

A secret without a form of its own is found only where a name next to it says so.
"""

import base64
import binascii
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, NamedTuple

from portkey_mcp.policy.guards.span import Span


class _Form(NamedTuple):
    """How a secret looks. `literal` is in every text that has one; group 1, where there is one, is the secret."""

    label: str
    literal: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool]


def _any(_found: str) -> bool:
    return True


def _has_digit(text: str) -> bool:
    return any("0" <= sign <= "9" for sign in text)


def _is_drawn(text: str) -> bool:
    """Whether it was drawn and not written: of 40 drawn out of 64 signs 30 are different, of words fewer than 20."""
    return len(set(text[len("pk_") :])) > 20 and text.lower() != text


def _is_said(text: str) -> bool:
    """Whether it is a password and not what stands for one: $PASSWORD, {password}, <password>, ***."""
    return text[0] not in "$<{*%["


def _forms(label: str, literals: str, rest: str, check: Callable[[str], bool] = _any) -> list[_Form]:
    """One form for each literal: it, and then `rest`."""
    return [_Form(label, one, re.compile(re.escape(one) + rest), check) for one in literals.split()]


def _words(label: str, literals: str, rest: str, check: Callable[[str], bool] = _any) -> list[_Form]:
    """The same, where no letter or digit stands before the literal. That is looked at last: a search for a literal is
    quick only where the pattern begins with it."""
    return [form for one in literals.split() for form in _forms(label, one, rf"(?<![A-Za-z0-9]{one}){rest}", check)]


_IS: Final = r"""\\?["']?[ \t]{0,3}[:=][ \t]{0,3}\\?["']?"""
_SECRET_KEY: Final = rf"(?i:[_-]?access[_-]?key){_IS}([A-Za-z0-9+/]{{40}})(?![A-Za-z0-9+/])"
_CREDENTIAL: Final = rf"{_IS}(?i:bearer|basic|token)[ \t]{{1,3}}([A-Za-z0-9._~+/=-]{{16,4096}}+)"
_TELEGRAM: Final = r"(?:(?<=/bot)|(?<![A-Za-z0-9_-]))([0-9]{8,10}:AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])"

_FORMS: Final = (
    *_words("AWS access key", "AKIA ASIA", r"[A-Z2-7]{16}(?![A-Za-z0-9])"),
    *_forms("AWS secret key", "ecret ECRET", _SECRET_KEY),
    *_words("GitHub token", "ghp_ gho_ ghs_ ghu_ ghr_", r"[A-Za-z0-9]{36,255}"),
    *_words("GitHub token", "github_pat_", r"[A-Za-z0-9_]{50,255}"),
    *_words("GitLab token", "glpat-", r"[A-Za-z0-9_-]{20,300}(?:\.[0-9a-z]{2}\.[0-9a-z]{7,12})?"),
    *_words("Slack token", "xox", r"[abeprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,255}", _has_digit),
    *_words("Slack token", "xapp-", r"[0-9]-[A-Za-z0-9-]{20,255}"),
    *_forms("Slack webhook", "hooks.slack.com/services/", r"(T[A-Z0-9]{6,20}/B[A-Z0-9]{6,20}/[A-Za-z0-9]{16,64})"),
    *_words("Stripe key", "sk_live_ rk_live_", r"[A-Za-z0-9]{16,255}"),
    *_words("Stripe secret", "whsec_", r"[A-Za-z0-9+/]{32,255}"),
    *_words("Google key", "AIza", r"[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    *_words("Google secret", "GOCSPX-", r"[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])"),
    *_words("Google token", "ya29.", r"[A-Za-z0-9_-]{20,2048}"),
    *_words("Anthropic key", "sk-ant-", r"[A-Za-z0-9_-]{20,255}", _has_digit),
    *_words("OpenAI key", "sk-proj- sk-svcacct- sk-admin- sk-None-", r"[A-Za-z0-9_-]{20,255}", _has_digit),
    *_words("OpenAI key", "sk-", r"[A-Za-z0-9]{32,64}(?![A-Za-z0-9_-])", _has_digit),
    *_words("npm token", "npm_", r"[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),
    *_words("PyPI token", "pypi-AgEI", r"[A-Za-z0-9_-]{50,1000}"),
    *_words("SendGrid key", "SG.", r"[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),
    *_words("Twilio key", "SK", r"[0-9a-f]{32}(?![A-Za-z0-9])"),
    _Form("Telegram token", ":AA", re.compile(_TELEGRAM), _any),
    *_forms("Azure key", "AccountKey=", r"([A-Za-z0-9+/]{86}==)"),
    *_words("gateway key", "pk_", r"(?<![_-]pk_)[A-Za-z0-9_-]{40}(?![A-Za-z0-9_-])", _is_drawn),
    *_forms("credential", "uthorization UTHORIZATION", _CREDENTIAL, _has_digit),
    *_forms("password", "://", r"""[^\s/:@?#'"<>]{0,128}+:([^\s/@'"]{1,256}+)@[A-Za-z0-9\[]""", _is_said),
)

LABELS: Final = frozenset({*(form.label for form in _FORMS), "JWT", "private key"})


def searches(text: str) -> list[Iterator[Span]]:
    """The searches for keys and passwords with a form of their own, not yet begun; each finds from left to right."""
    return [_of_form(form, text) for form in _FORMS if form.literal in text]


def keys(text: str) -> Iterator[Span]:
    """Keys and passwords with a form of their own, form by form."""
    return chain.from_iterable(searches(text))


def _of_form(form: _Form, text: str) -> Iterator[Span]:
    for found in form.pattern.finditer(text):
        if form.check(found[form.pattern.groups]):
            yield Span(*found.span(form.pattern.groups), form.label)


_JWT: Final = re.compile(
    r"(?<![A-Za-z0-9_.-])(eyJ[A-Za-z0-9_-]{9,}+)(?:(?:\.[A-Za-z0-9_-]*+){4}|\.[A-Za-z0-9_-]++\.[A-Za-z0-9_-]*+)"
)
_LONGEST_HEADER: Final = 16_384


def tokens(text: str) -> Iterator[Span]:
    """JSON Web Tokens in compact form, signed (RFC 7515) or encrypted (7516): the header is read and names `alg`."""
    if "eyJ" in text:
        for found in _JWT.finditer(text):
            if b'"alg"' in _decoded(found[1][:_LONGEST_HEADER]):
                yield Span(found.start(), found.end(), "JWT")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return b""


_BEGIN: Final = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_END: Final = re.compile(r"-----END (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_LINES: Final = re.compile(
    r"(?:(?:\s|\\[nr]){0,8}+[A-Za-z0-9+/=]{16,}+)++(?:(?:\s|\\[nr]){1,8}+[A-Za-z0-9+/=]{1,15}+)?"
)
_LONGEST_PEM: Final = 32_768


def private_keys(text: str) -> Iterator[Span]:
    """Private keys in PEM (RFC 7468), whole; where the end is missing, as far as there are lines of base64."""
    if "PRIVATE KEY-----" not in text and "PRIVATE KEY BLOCK-----" not in text:
        return
    begins = list(_BEGIN.finditer(text))
    ends = [found.end() for found in _END.finditer(text)]
    limits = [*(begin.start() for begin in begins[1:]), len(text)]
    for begin, limit in zip(begins, limits, strict=False):
        nearest = bisect_left(ends, begin.end())
        if nearest < len(ends) and ends[nearest] <= min(limit, begin.end() + _LONGEST_PEM):
            yield Span(begin.start(), ends[nearest], "private key")
        elif (lines := _LINES.match(text, begin.end())) is not None:
            yield Span(begin.start(), lines.end(), "private key")
