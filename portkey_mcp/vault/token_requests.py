"""One request to a token endpoint, and what came of it (RFC 6749, section 5; oauth.md A22, A27, A33).

A request is sent once: its code, refresh token or assertion may be used up however it ends. The one exception is an
authorization server that wants a nonce in the proof and says so before it does anything (RFC 9449, section 8).

Nothing secret gets into an error or a log: what an authorization server says in words is left out where it repeats
what it was sent.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

from portkey_mcp import wire
from portkey_mcp.egress import Egress, Fetched
from portkey_mcp.errors import NotFetched, PortkeyError, ProviderDown, TokenRefused, Unreachable
from portkey_mcp.vault import dpop
from portkey_mcp.vault.client_auth import proven
from portkey_mcp.vault.connection import Client, Endpoint, Tokens
from portkey_mcp.vault.protected_resource import scopes_of
from portkey_mcp.vault.reaching import Reaching

log = logging.getLogger(__name__)

LONGEST_LIFE: Final = 10 * 365 * 86_400
"""Seconds; what is longer is as good as that."""

NONCE_WANTED: Final = "use_dpop_nonce"
PASSING: Final = frozenset({"temporarily_unavailable", "server_error", "slow_down"})
"""Errors that say nothing of what was asked for."""

_PLAIN: Final = frozenset(
    [
        *("grant_type", "scope", "resource", "client_id", "redirect_uri", "audience", "token_type_hint"),
        *("subject_token_type", "actor_token_type", "requested_token_type", "client_assertion_type"),
    ]
)
"""Members of a form that may be repeated in an error."""

ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the name of a kind
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"

_TOKEN: Final = re.compile(r"[!-~]+")
_ERROR: Final = re.compile(r"[A-Za-z0-9_.:/-]{1,100}")
_SECONDS: Final = re.compile(r"\s*-?\d{1,15}(\.\d*)?\s*")


def _utc() -> datetime:
    return datetime.now(UTC)


class TokenRequests:
    """Asks token endpoints. Holds nothing between two requests."""

    def __init__(self, reaching: Reaching, now: Callable[[], datetime] = _utc) -> None:
        self._reaching = reaching
        self._now = now

    async def ask(
        self, url: str, at: Endpoint, client: Client, form: Mapping[str, str], *, dpop_key: str = ""
    ) -> Tokens:
        """Tokens for the server at `url`; `form` is the request but for who the client is.

        Where `at` takes proofs, the tokens are bound to `dpop_key`, a PEM; empty: to a new one. Where the form says
        `requested_token_type`, what comes may be no access token (RFC 8693, `N_A`): it is in `access` all the same, and
        goes to no server.

        Raises:
            TokenRefused: the authorization server says no, and why.
            ProviderDown: it cannot answer just now.
            NotFetched: it may not be asked, or its answer is none that can be used.
            Mistake: the client lacks what it proves itself by.
        """
        egress = self._reaching.for_server(url)
        told = proven(client, at)
        whole = {**form, **told.form}
        secrets = [client.secret, *(value for name, value in whole.items() if name not in _PLAIN)]
        key = (dpop_key or dpop.new_key()) if dpop.ALGORITHM in at.dpop or dpop_key else ""
        answer = await _post(egress, at.token, whole, _headers(told.headers, key, at.token))
        nonce = answer.headers.get("dpop-nonce", "")
        if key and nonce and _members(answer).get("error") == NONCE_WANTED:
            answer = await _post(egress, at.token, whole, _headers(told.headers, key, at.token, nonce))
        return _read(answer, key, form.get("requested_token_type", ""), secrets, self._now())

    async def revoke(self, url: str, at: Endpoint, client: Client, tokens: Tokens) -> bool:
        """Tell the authorization server that tokens are not needed any more (RFC 7009); whether it took it.

        The refresh token first: many end everything with it. Never raises: it is a courtesy.
        """
        if not at.revocation:
            return False
        pairs = (("refresh_token", tokens.refresh), ("access_token", tokens.access))
        done = True
        for hint, token in pairs:
            if token:
                done = await self._revoke(url, at, client, {"token": token, "token_type_hint": hint}) and done
        return done

    async def _revoke(self, url: str, at: Endpoint, client: Client, form: Mapping[str, str]) -> bool:
        try:
            told = proven(client, at)
            egress = self._reaching.for_server(url)
            answer = await _post(egress, at.revocation, {**form, **told.form}, told.headers)
        except PortkeyError as error:
            log.info("%s did not revoke a token: %s", _host(at.revocation), error)
            return False
        return answer.status == 200


def _headers(own: Mapping[str, str], key: str, url: str, nonce: str = "") -> dict[str, str]:
    return {**own, **({"DPoP": dpop.proof(key, "POST", url, nonce=nonce)} if key else {})}


async def _post(egress: Egress, url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Fetched:
    try:
        return await egress.post(url, data=form, headers=headers)
    except Unreachable as error:
        raise ProviderDown(f"The authorization server {_host(url)} does not answer just now.") from error


def _read(answer: Fetched, key: str, wanted: str, secrets: Iterable[str], now: datetime) -> Tokens:
    members, host = _members(answer), _host(answer.url)
    error = _text(members.get("error"))
    if answer.status >= 500 or answer.status in (408, 425, 429) or error in PASSING:
        raise ProviderDown(f"The authorization server {host} cannot answer just now (status {answer.status}).")
    if error:  # GitHub refuses with status 200
        raise _refused(error, members.get("error_description"), secrets)
    if answer.status != 200:
        raise NotFetched(f"the token endpoint of {host} answered with status {answer.status} and does not say why")
    _check_issued(members, wanted, host)
    kind = _kind(members, key, wanted, host)
    return Tokens(
        access=_access(members, host),
        kind=kind,
        expires=_expires(members.get("expires_in"), now),
        refresh=_text(members.get("refresh_token")),
        scopes=None if members.get("scope") is None else scopes_of(members["scope"]),
        id_token=_text(members.get("id_token")),
        dpop_key=key if kind == "DPoP" else "",
    )


def _members(answer: Fetched) -> Mapping[str, Any]:
    """The members of an answer: JSON, or a form, as GitHub once wrote it; empty where it is neither."""
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(answer.body.decode("ascii"), strict_parsing=True))
        found = wire.loads(answer.body)
    except ValueError:  # MalformedJson is one, and so is what is not ASCII
        return {}
    return found if isinstance(found, dict) else {}


def _refused(error: str, description: object, secrets: Iterable[str]) -> TokenRefused:
    """The refusal in the authorization server's words, but for those that repeat a secret it was sent."""
    words = description if isinstance(description, str) else ""
    words = "".join(character for character in words if character.isprintable())
    for secret in filter(None, secrets):
        spellings = (secret, quote(secret, safe=""), quote_plus(secret), secret[:24])
        if any(one in words for one in spellings):
            words = ""
        if any(one in error for one in spellings):
            error = ""
    return TokenRefused(error if _ERROR.fullmatch(error) else "unreadable_error", words[:300])


def _access(members: Mapping[str, Any], host: str) -> str:
    token = members.get("access_token")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise NotFetched(f"{host} gave no access_token that can be put into a header")
    return token


def _kind(members: Mapping[str, Any], key: str, wanted: str, host: str) -> Literal["Bearer", "DPoP"]:
    said = members.get("token_type")
    kind = said.lower() if isinstance(said, str) else ""
    if kind == "bearer" or (kind == "n_a" and wanted and members.get("issued_token_type") == wanted):
        return "Bearer"
    if kind == "dpop" and key:
        return "DPoP"
    raise NotFetched(f"{host} gave a token of a type that is not known here: it says {kind[:40] or 'none'}")


def _check_issued(members: Mapping[str, Any], wanted: str, host: str) -> None:
    """Refuse another kind of token than was asked for (RFC 8693, section 2.2.1): it may be for other eyes.

    Of access tokens some do not say that they are, and some say that they are JWTs; then both is true.
    """
    said = _text(members.get("issued_token_type"))
    if wanted and said != wanted and not (wanted == ACCESS_TOKEN and said in ("", JWT)):
        raise NotFetched(f"{host} gave another kind of token than was asked for: it says {said[:100] or 'none'}")


def _expires(said: object, now: datetime) -> datetime | None:
    """When a token ends; None where nobody says so: a life of nothing is nothing said."""
    if isinstance(said, str) and _SECONDS.fullmatch(said):
        said = float(said)
    if isinstance(said, bool) or not isinstance(said, (int, float)) or not said > 0:
        return None
    return now + timedelta(seconds=min(said, LONGEST_LIFE))


def _text(said: object) -> str:
    return said if isinstance(said, str) else ""


def _host(url: str) -> str:
    return urlsplit(url).hostname or "it"
