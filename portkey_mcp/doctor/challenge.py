"""Reads `WWW-Authenticate` (RFC 9110 section 11.6.1): challenges, each a scheme with parameters."""

import re
from typing import Final, NamedTuple

_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER: Final = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:({_WORD})|"((?:[^"\\]|\\.)*)")')
_SCHEME: Final = re.compile(rf"({_WORD})(?:[ \t]+|(?=,|$))")
_BLOB: Final = re.compile(r"[0-9A-Za-z._~+/-]+=*[ \t]*(?=,|$)")
_GAP: Final = re.compile(r"[ \t]*(?:,[ \t]*)*")


class Challenge(NamedTuple):
    """One challenge: the scheme and the names of parameters in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(header: str) -> list[Challenge] | None:
    """All challenges of the header; None where it is not well-formed, or names a parameter twice."""
    found: list[Challenge] = []
    at = _gap(header, 0)
    while at < len(header):
        parameter = _PARAMETER.match(header, at)
        if parameter and found:
            name, bare, text = parameter.groups()
            if name.lower() in found[-1].parameters:
                return None
            value = re.sub(r"\\(.)", r"\1", text) if bare is None else bare
            found[-1].parameters[name.lower()] = value
            end = parameter.end()
        elif not parameter and (scheme := _SCHEME.match(header, at)):
            found.append(Challenge(scheme[1].lower(), {}))
            if _PARAMETER.match(header, scheme.end()):  # the first one follows without a comma
                at = scheme.end()
                continue
            blob = _BLOB.match(header, scheme.end())  # as in `Negotiate abc=`
            end = blob.end() if blob else scheme.end()
        else:
            return None
        at = _gap(header, end)
        if at == end < len(header) or ("," not in header[end:at] and at < len(header)):
            return None
    return found


def _gap(header: str, at: int) -> int:
    gap = _GAP.match(header, at)
    return gap.end() if gap else at
