"""How the API says no: every refusal as an answer, in one table."""

from typing import Final

from fastapi import Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import OperationalError

from portkey_mcp.errors import (
    Conflict,
    Forbidden,
    Mistake,
    Mistakes,
    NotFound,
    Refusal,
    Refused,
    StoreDown,
    Unauthenticated,
)
from portkey_mcp.wire import dumps

NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Headers of every answer: what is said here is said to one person, now."""

PAUSE: Final = 5
"""Seconds after which to try again while the store is down."""

MOST_TOLD: Final = 5
"""Members of a body that one answer finds wrong."""

LONGEST_PLACE: Final = 200
"""Characters of the name of one; unknown members have any."""


class Malformed(Refusal):
    """The body is no JSON that everybody would read alike."""


class TooLarge(Refusal):
    """The body is larger than what is read."""


class NotJson(Refusal):
    """The body does not say that it is JSON."""


_ANSWERS: Final[tuple[tuple[type[Exception], int, str], ...]] = (
    (Malformed, 400, "bad_request"),
    (Unauthenticated, 401, "unauthenticated"),
    (Forbidden, 403, "forbidden"),
    (NotFound, 404, "not_found"),
    (Conflict, 409, "conflict"),
    (Refused, 409, "conflict"),  # of an approval: it was decided already, or has expired
    (TooLarge, 413, "too_large"),
    (NotJson, 415, "unsupported_media_type"),
    (Mistake, 422, "invalid"),
    (RequestValidationError, 422, "invalid"),
    (StoreDown, 503, "unavailable"),
    (OperationalError, 503, "unavailable"),
)
"""What is said of each way to fail; the first that fits."""


class Place(BaseModel):
    """One mistake, and where in the text it is; both counted from 1."""

    line: int
    column: int
    message: str


class Problem(BaseModel):
    """`code` is for a program, `message` for a person; `mistakes` are those of a document."""

    code: str
    message: str
    mistakes: list[Place] | None = None


class Failure(BaseModel):
    """What every answer says that is no success."""

    error: Problem


def failure(error: Exception) -> Response:
    """The answer to a request that failed. Nothing that was sent is repeated but names, and nothing of the store's.

    Raises:
        Exception: the error itself, where it is none that anybody raises on purpose.
    """
    status, code = next(((status, code) for kind, status, code in _ANSWERS if isinstance(error, kind)), (0, ""))
    if not status:
        raise error
    problem = Problem(code=code, message=_words(error))
    if isinstance(error, Mistake):
        problem.mistakes = places(error) or None
    headers = {**NO_STORE}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = str(PAUSE)
    said = dumps({"error": problem.model_dump(exclude_none=True)})
    return Response(said, status, headers, "application/json")


def places(mistake: Mistake) -> list[Place]:
    """The mistakes of a document, in its order; none where it is about no text."""
    found = mistake.mistakes if isinstance(mistake, Mistakes) else (mistake,)
    return [
        Place(line=max(1, one.line), column=max(1, one.column), message=one.what)
        for one in found
        if one.file or one.line
    ]


def _words(error: Exception) -> str:
    if isinstance(error, RequestValidationError):
        told = [f"{'.'.join(map(str, one['loc']))[:LONGEST_PLACE]}: {one['msg']}" for one in error.errors()]
        return "; ".join(told[:MOST_TOLD])
    if isinstance(error, StoreDown | OperationalError):
        return "The gateway's store cannot be read or written just now. Nothing was changed; try again in a moment."
    if isinstance(error, Mistakes) and len(error.mistakes) > 1:
        return f"There are {len(error.mistakes)} mistakes; the first: {error.mistakes[0]}"
    return str(error)
