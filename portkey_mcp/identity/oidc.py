"""Single sign-on: OpenID Connect's authorization code flow, with PKCE, state and nonce, on Authlib's client.

Ends with who somebody is at their provider; who that is here is `logins.py`'s. Each provider has a callback of its own
and what comes there must be its own, so that one provider cannot pass off another's answer as its own (mix-up, RFC
9700, section 4.4).
"""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote_plus

from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.oauth2.auth import encode_client_secret_basic

from portkey_mcp.errors import ProviderDown, Unauthenticated
from portkey_mcp.identity import id_tokens
from portkey_mcp.identity.claims import Claims, Subject, is_whole, subject_of
from portkey_mcp.identity.discovery import Discovery, Metadata
from portkey_mcp.identity.fetching import SECONDS, Fetching, within
from portkey_mcp.identity.id_tokens import Expected
from portkey_mcp.identity.pending import Pending, PendingSignIns
from portkey_mcp.trust import Provider, ProviderTokens

log = logging.getLogger(__name__)

LONGEST_CODE: Final = 8192
"""Characters of an authorization code."""

REFRESH: Final = "refresh_token"

LONGEST_TOLD: Final = 200
"""Characters of a provider's own words that are shown."""


class SingleSignOn:
    """Sends people to their provider, and reads what they come back with."""

    def __init__(
        self, pending: PendingSignIns, fetching: Fetching | None = None, discovery: Discovery | None = None
    ) -> None:
        self._pending = pending
        self._fetching = fetching or Fetching()
        self._discovery = discovery or Discovery(self._fetching)

    async def begin(self, provider: Provider, callback: str, browser: str, onto: str) -> str:
        """The URL at the provider's where a person signs in.

        `callback` is the URL of ours that they come back to, `browser` the value in the cookie of their browser, `onto`
        the path to go on to afterwards.

        Raises:
            ProviderDown: the provider cannot be asked where that is.
        """
        metadata = await self._discovery.metadata(provider.issuer, provider.name)
        state, pending = self._pending.make(provider, browser, onto)
        async with await self._client(provider, metadata, callback) as client:
            url, _ = client.create_authorization_url(
                metadata.authorization, state=state, nonce=pending.nonce, code_verifier=pending.verifier
            )
        return str(url)

    def recall(self, provider: Provider, browser: str, state: str) -> Pending:
        """The sign-in that somebody comes back from; see `PendingSignIns.take`."""
        return self._pending.take(provider, browser, state)

    async def finish(self, provider: Provider, callback: str, pending: Pending, response: Mapping[str, str]) -> Subject:
        """Who came back. `response` are the parameters that they were sent back with.

        Raises:
            Unauthenticated: nobody, or the provider said no; `str()` says why, for a person.
            ProviderDown: the provider cannot be asked, or gives no answer that can be used.
        """
        metadata = await self._discovery.metadata(provider.issuer, provider.name)
        _check_issuer(metadata, response)
        if "error" in response:
            raise Unauthenticated(_refusal(provider, response))
        code = response.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise Unauthenticated(f"{provider.name} sent no authorization code.")
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": pending.verifier}
        token = await self._token(provider, metadata, form, callback)
        if not isinstance(token.get("id_token"), str):
            raise ProviderDown(f"{provider.name} gave no ID token.")
        claims = await self._claims(provider, token, pending.nonce)
        further: Claims = {}
        if metadata.userinfo and not is_whole(claims, provider):
            further = await self._userinfo(provider, metadata, token, claims["sub"])
        return replace(subject_of(claims, further, provider), tokens=_tokens(claims, token))

    async def renew(self, provider: Provider, tokens: ProviderTokens) -> ProviderTokens:
        """Another ID token about the same person, by the refresh token (OpenID Connect Core, section 12).

        Raises:
            Unauthenticated: the provider gives none, or one about somebody else.
            ProviderDown: the provider cannot be asked, or gives no answer that can be used.
        """
        metadata = await self._discovery.metadata(provider.issuer, provider.name)
        token = await self._token(provider, metadata, {"grant_type": REFRESH, "refresh_token": tokens.refresh})
        if not isinstance(token.get("id_token"), str):  # it need not give one
            raise Unauthenticated(f"{provider.name} gives no further ID token.")
        claims = await self._claims(provider, token, None)
        if claims["sub"] != tokens.subject:
            raise Unauthenticated(f"{provider.name} speaks of somebody else than before.")
        return _tokens(claims, token, tokens.refresh)

    async def _token(
        self, provider: Provider, metadata: Metadata, form: Mapping[str, str], callback: str = ""
    ) -> Mapping[str, Any]:
        """Exchange a grant for an ID token and an access token (RFC 6749, sections 4.1.3 and 6)."""
        async with within(provider.name), await self._client(provider, metadata, callback) as client:
            try:
                token: Mapping[str, Any] = await client.fetch_token(metadata.token, **form)
            except OAuthError as error:
                kind, said = form["grant_type"], str(error.error)
                log.warning("%s refused the grant %s: %s", provider.name, kind, shown(said))
                if kind == REFRESH and said != "invalid_grant":  # what is refused is not what the person has
                    raise ProviderDown(f"{provider.name} does not renew sign-ins just now.") from None
                raise Unauthenticated(f"{provider.name} did not confirm this sign-in. Please begin again.") from None
        return token

    async def _claims(self, provider: Provider, token: Mapping[str, Any], nonce: str | None) -> Claims:
        id_token = token["id_token"]
        kid = id_tokens.key_id(id_token)
        keys = await self._discovery.keys(provider.issuer, provider.name, kid)
        access_token = token.get("access_token")
        expected = Expected(
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=nonce,
            access_token=access_token if isinstance(access_token, str) else "",
        )
        return id_tokens.verified(id_token, keys, expected)

    async def _userinfo(self, provider: Provider, metadata: Metadata, token: Mapping[str, Any], subject: str) -> Claims:
        """What the userinfo endpoint says of the same person (OpenID Connect Core, section 5.3)."""
        access_token = token.get("access_token")
        if not isinstance(access_token, str) or not access_token.isascii() or not access_token.isprintable():
            return {}
        bearer = {"Authorization": f"Bearer {access_token}"}
        found = await self._fetching.document(metadata.userinfo, provider.name, bearer)
        if found.get("sub") != subject:
            raise Unauthenticated(f"{provider.name} speaks of somebody else than its ID token does.")
        return found

    async def _client(self, provider: Provider, metadata: Metadata, callback: str) -> AsyncOAuth2Client:
        client = AsyncOAuth2Client(
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            token_endpoint_auth_method=_method(provider, metadata),
            scope=list(provider.scopes),
            redirect_uri=callback,
            code_challenge_method="S256",
            transport=await self._fetching.transport(),
            timeout=SECONDS,
        )
        client.register_client_auth_method(("client_secret_basic", _basic))
        return client


def _tokens(claims: Claims, token: Mapping[str, Any], before: str = "") -> ProviderTokens:
    """What proves who somebody is. `before` is the refresh token that is still good where no other one came."""
    refresh = token.get("refresh_token")
    try:
        expires = datetime.fromtimestamp(claims["exp"], UTC)
    except (ValueError, OverflowError, OSError):  # a moment that no calendar has
        expires = datetime.now(UTC)
    return ProviderTokens(
        subject=claims["sub"],
        expires=expires,
        id_token=token["id_token"],
        refresh=refresh if isinstance(refresh, str) and refresh else before,
    )


def shown(text: str) -> str:
    """A stranger's words as they may stand on a page or in a log: short, and on one line."""
    plain = "".join(one if one.isprintable() else " " for one in text[:LONGEST_TOLD])
    return plain + ("…" if len(text) > LONGEST_TOLD else "")


def _method(provider: Provider, metadata: Metadata) -> str:
    """How the gateway proves itself: with HTTP Basic unless the provider only takes the secret in the form."""
    if not provider.client_secret:
        return "none"
    only_posted = "client_secret_basic" not in metadata.methods and "client_secret_post" in metadata.methods
    return "client_secret_post" if only_posted else "client_secret_basic"


def _basic(client: Any, method: str, uri: str, headers: Any, body: Any) -> Any:
    """HTTP Basic with id and secret encoded as a form's fields (RFC 6749, section 2.3.1), which Authlib leaves out."""
    encoded = _Encoded(quote_plus(client.client_id), quote_plus(client.client_secret))
    return encode_client_secret_basic(encoded, method, uri, headers, body)


class _Encoded:
    def __init__(self, client_id: str, client_secret: str) -> None:
        self.client_id = client_id
        self.client_secret = client_secret


def _check_issuer(metadata: Metadata, response: Mapping[str, str]) -> None:
    """Hold the answer against whom it says it is from (RFC 9207, section 2.4); errors, too."""
    said = response.get("iss")
    if said is None and not metadata.says_issuer:
        return
    if said is None or not hmac.compare_digest(said.encode(), metadata.issuer.encode()):
        raise Unauthenticated("This answer is from another identity provider than the one that was asked.")


def _refusal(provider: Provider, response: Mapping[str, str]) -> str:
    """What a provider's error means to a person."""
    error, words = response["error"], response.get("error_description", "")
    if error == "access_denied":
        said = f"{provider.name} did not let you in, or you did not agree"
    else:
        said = f"{provider.name} answered with the error {shown(error)}"
    return f"{said}: {shown(words)}" if words else f"{said}."
