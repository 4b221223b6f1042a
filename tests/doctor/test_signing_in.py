"""The steps of a sign-in: each fault of the metadata and endpoints is named, with how to mend it."""

import json
from typing import Any

import pytest
from mcp.server.auth.provider import OAuthAuthorizationServerProvider
from mcp.server.auth.routes import create_auth_routes, create_protected_resource_routes
from mcp.server.auth.settings import ClientRegistrationOptions
from mcp.shared.auth import OAuthClientInformationFull
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portkey_mcp.doctor.walk import examine
from tests.doctor.clinic import Clinic
from tests.doctor.examined import examined, of, shown, told
from tests.stories.gateway import serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fault", "verdict", "what", "mend"),
    [
        ("no prm", "bad", "which the challenge names, answers 404", "RFC 9728"),
        ("no prm", "bad", "no protected resource metadata anywhere", "/.well-known/oauth-protected-resource/mcp"),
        ("spa", "bad", "a page for people", "catch-all"),
        ("no metadata", "bad", "no metadata anywhere", "RFC 8414"),
        ("issuer slash", "bad", "they differ only by a slash at the end", "both must be the same text"),
        (
            "register 429",
            "bad",
            "all users of Claude come from a few addresses",
            "do not limit registration by address",
        ),
        ("open redirect", "bad", "it redirects to an address that nobody registered", "compare redirect_uri exactly"),
        ("code", "bad", "a code to somebody who has not signed in", "sign in and agree"),
        ("code", "bad", "a code without PKCE", "code_challenge and S256 are required"),
        ("no pkce", "doubtful", "without PKCE is not refused at once (200 OK with a web page)", "invalid_request"),
        ("no iss", "bad", "iss=nothing", "RFC 9207"),
        ("framed", "doubtful", "can be framed by any site", "frame-ancestors 'none'"),
        ("cached", "doubtful", "Cache-Control: none", "no-store"),
        ("wants json", "bad", "it does not take a form", "application/x-www-form-urlencoded"),
        ("lax token", "doubtful", "an unknown client is answered with 400", "401 with `invalid_client`"),
    ],
)
async def test_a_fault_of_the_authorization_server_is_named_with_how_to_mend_it(
    fault: str, verdict: str, what: str, mend: str
) -> None:
    findings = await examined(Clinic(fault), register=True)

    assert told(findings, verdict, what, mend), shown(findings)
    assert verdict == "bad" or not of("bad", findings)


async def test_k3_the_resource_is_the_url_as_the_client_knows_it() -> None:
    findings = await examined(Clinic(prm={"resource": "https://internal.example/mcp"}))

    assert told(findings, "bad", "`resource` is https://internal.example/mcp, and not the URL", "set the public URL")


async def test_k5_which_registration_claude_chooses_is_said_with_the_reason() -> None:
    by_document = await examined(Clinic())
    itself = await examined(Clinic(metadata={"client_id_metadata_document_supported": None}))
    by_hand = await examined(
        Clinic(metadata={"registration_endpoint": None, "client_id_metadata_document_supported": None})
    )
    half = await examined(Clinic(metadata={"token_endpoint_auth_methods_supported": ["client_secret_post"]}))

    assert told(by_document, "good", "by its own document (CIMD)", "")
    assert told(itself, "good", "Claude will register itself (DCR)", "")
    assert told(by_hand, "doubtful", "somebody will have to type a client id", "registration")
    assert told(half, "doubtful", "the auth methods lack `none`", 'add "none"')


async def test_a_registration_is_made_only_when_asked_for_and_then_said_to_be_left_behind() -> None:
    clinic = Clinic()
    without = await examined(clinic)
    asked_before = [path for _, path, _ in clinic.seen].count("/register")
    with_it = await examined(clinic, register=True)

    assert asked_before == 0
    assert told(without, "skipped", "it leaves a client behind; --register", "")
    assert told(with_it, "good", "left behind: client c-1", "")


async def test_what_only_a_registered_client_can_ask_is_skipped_and_said_to_be() -> None:
    clinic = Clinic(metadata={"client_id_metadata_document_supported": None})
    without = await examined(clinic)
    with_it = await examined(clinic, register=True)

    assert told(without, "skipped", "only a registered client can ask for it", "")
    assert told(without, "good", "a redirect_uri that is not registered is refused", "")
    assert told(with_it, "good", "it shows a page to Claude's question", "")


async def test_a_secret_that_came_without_its_end_is_found_out_and_never_shown() -> None:
    clinic = Clinic(metadata={"token_endpoint_auth_methods_supported": ["client_secret_post"]})
    findings = await examined(clinic, register=True)

    assert told(findings, "bad", "integer client_secret_expires_at", "0 for a secret that never ends")
    assert "never-shown" not in shown(findings)


async def test_metadata_that_names_other_hosts_is_followed_and_said_to() -> None:
    findings = await examined(Clinic(metadata={"token_endpoint": "http://localhost:1/token"}))

    assert told(findings, "doubtful", "token_endpoint is at another host, http://localhost:1", "/token")
    assert told(findings, "bad", "no answer", "log of the authorization server")


@pytest.mark.parametrize("issuers", [[], ["nonsense"], ["http://auth.example.com"], [3], "text", None])
async def test_an_issuer_that_cannot_be_one_is_bad_and_ends_nothing(issuers: Any) -> None:
    findings = await examined(Clinic(prm={"authorization_servers": issuers}), timeout=1)

    assert of("bad", findings)
    assert findings[-1].step == "speed"


class _Clients(OAuthAuthorizationServerProvider[Any, Any, Any]):
    """As little as the SDK's routes need: clients can register, and sign in by a page elsewhere."""

    def __init__(self) -> None:
        self._clients: dict[str, OAuthClientInformationFull] = {}

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        return self._clients.get(client_id)

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        self._clients[str(client_info.client_id)] = client_info

    async def authorize(self, client: OAuthClientInformationFull, params: Any) -> str:
        return "http://localhost/sign-in"

    async def load_authorization_code(self, client: Any, authorization_code: str) -> None:
        return None


async def test_the_sdk_s_own_authorization_server_passes_but_for_what_it_is_known_to_lack() -> None:
    """Its gaps are those of oauth.md section 8.1: no `none`, no documents, no iss, nothing at the root."""
    app = Starlette()

    async def mcp(request: Request) -> Response:
        pointer = f"{request.url.scheme}://{request.headers['host']}/.well-known/oauth-protected-resource/mcp"
        said = f'Bearer resource_metadata="{pointer}", scope="tools"'
        return JSONResponse({}, 401, {"WWW-Authenticate": said})

    async with serving(app) as origin:
        app.router.routes += [
            Route("/mcp", mcp, methods=["GET", "POST"]),
            *create_auth_routes(
                _Clients(),
                AnyHttpUrl(origin),
                client_registration_options=ClientRegistrationOptions(enabled=True, valid_scopes=["tools"]),
            ),
            *create_protected_resource_routes(AnyHttpUrl(f"{origin}/mcp"), [AnyHttpUrl(origin)], ["tools"]),
        ]
        findings = [finding async for finding in examine(f"{origin}/mcp", register=True)]

    assert told(findings, "good", "`resource` is this very URL", ""), shown(findings)
    assert told(findings, "good", "Claude will register itself", "")
    assert told(findings, "good", "it leads on to http://localhost/sign-in", "")
    assert told(findings, "good", "without PKCE it sends the client back with invalid_request", "")
    assert told(findings, "good", "a code that was never given is refused with invalid_grant", "")
    assert told(findings, "good", "an unknown client is refused with 401 invalid_client", "")
    assert not of("bad", findings), shown(findings)
    assert json.dumps([finding.what for finding in of("doubtful", findings)]).count("iss") >= 1
