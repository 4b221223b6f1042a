"""The first requests of well-known clients, replayed as they were recorded (oauth.md sections 3 and 4, clients.md).

Each asks in its own order, with its own headers and bodies, and has its tokens in the end. What real programs do by
themselves is in `test_sign_in_clients`.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from portkey_mcp.egress import Egress
from tests.oauth.conftest import Asked
from tests.oauth.site import Site
from tests.outside import contexts
from tests.stories.raw_client import Json
from tests.stories.sign_in_house import House, allowed, house, read
from tests.upstream.raw import raw

pytestmark = pytest.mark.anyio

PRM = "/.well-known/oauth-protected-resource"
AS = "/.well-known/oauth-authorization-server"
OIDC = "/.well-known/openid-configuration"
PING: Json = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
BOTH = {"accept": "application/json, text/event-stream"}

CHATGPT = "chatgpt.com"
KEY_HOST = "localhost"
CURSOR = "cursor://anysphere.cursor-mcp/oauth/callback"
CLAUDE_CALLBACK = "https://claude.ai/api/mcp/auth_callback"
CODE = {"grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]}
PUBLIC = {**CODE, "token_endpoint_auth_method": "none"}


@dataclass(frozen=True)
class Recorded:
    """How one client goes about it.

    `probes` are the paths it asks for metadata, `{path}` being the endpoint's; the first PRM and the first AS document
    that it gets count. `document` is its id where it has one, `registers` what it sends where it has none. `headers`
    go with everything but MCP requests, which have `mcp`. `scope` None: as the challenge says; `offline`: and
    `offline_access` where the AS offers that. `sends_resource` says whether it names the resource.
    """

    name: str
    redirect: str
    document: str = ""
    registers: Json = field(default_factory=dict)
    probes: tuple[str, ...] = (f"{PRM}{{path}}", AS)
    headers: dict[str, str] = field(default_factory=dict)
    mcp: dict[str, str] = field(default_factory=dict)
    place: tuple[str, ...] = ("blue", "files")
    offline: bool = True
    sends_resource: bool = True

    def __str__(self) -> str:
        return self.name


HOSTED = {"headers": {"user-agent": "python-httpx/0.28.1"}, "mcp": {"user-agent": "Claude-User"}}
RECORDED = [
    Recorded("Claude, by its document", CLAUDE_CALLBACK, "https://claude.ai/oauth/mcp-oauth-client-metadata", **HOSTED),
    Recorded(
        "Claude, registering",
        CLAUDE_CALLBACK,
        registers={"client_name": "Claude", "redirect_uris": [CLAUDE_CALLBACK], **PUBLIC, "scope": "mcp:read mcp:call"},
        probes=(f"{PRM}{{path}}", f"{AS}{{path}}", AS),
        **HOSTED,
    ),
    Recorded(
        "Claude at claude.com, registering, with a secret",
        "https://claude.com/api/mcp/auth_callback",
        registers={
            "client_name": "Claude",
            "redirect_uris": [CLAUDE_CALLBACK, "https://claude.com/api/mcp/auth_callback"],
            **CODE,
            "token_endpoint_auth_method": "client_secret_post",
        },
        place=("blue",),
        **HOSTED,
    ),
    Recorded(
        "Claude Code",
        "http://localhost:54545/callback",
        "https://claude.ai/oauth/claude-code-client-metadata",
        headers={"user-agent": "claude-code/2.1.231"},
        probes=(f"{PRM}{{path}}", AS),
    ),
    Recorded(
        "Claude Code 2.1.229",
        "http://127.0.0.1:61000/callback",
        "https://claude.ai/oauth/claude-code-client-metadata",
        probes=(f"{PRM}{{path}}", PRM, AS, OIDC),
    ),
    Recorded(
        "ChatGPT",
        "https://chatgpt.com/connector_platform_oauth_redirect",
        f"https://{CHATGPT}:{{port}}/oauth/client.json",
        headers={"user-agent": "openai-mcp/1.0"},
        mcp={"user-agent": "openai-mcp/1.0"},
    ),
    Recorded(
        "ChatGPT, registering",
        "https://chatgpt.com/connector/oauth/abc-123",
        registers={
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector/oauth/abc-123"],
            **PUBLIC,
        },
    ),
    *(
        Recorded(
            f"Cursor, back at {urlsplit(back).scheme}://{urlsplit(back).netloc}",
            back,
            registers={
                "client_name": "Cursor",
                "redirect_uris": [
                    "http://localhost:8787/callback",
                    "https://www.cursor.com/agents/mcp/oauth/callback",
                    CURSOR,
                ],
                **PUBLIC,
            },
            probes=(f"{PRM}{{path}}", f"{AS}{{path}}", f"{OIDC}{{path}}", AS),
        )
        for back in ("http://localhost:8787/callback", "https://www.cursor.com/agents/mcp/oauth/callback", CURSOR)
    ),
    *(
        Recorded(
            f"VS Code, back at {back}",
            back,
            registers={
                "client_name": "Visual Studio Code",
                "client_uri": "https://code.visualstudio.com",
                "redirect_uris": [
                    "https://insiders.vscode.dev/redirect",
                    "https://vscode.dev/redirect",
                    "http://127.0.0.1/",
                    "http://127.0.0.1:33418/",
                ],
                **PUBLIC,
                "application_type": "native",
            },
        )
        for back in (
            "http://127.0.0.1:33418/",
            "http://127.0.0.1:40000/",
            "https://vscode.dev/redirect",
            "https://insiders.vscode.dev/redirect",
        )
    ),
    Recorded(
        "VS Code, by its document", "https://vscode.dev/redirect", "https://vscode.dev/oauth/client-metadata.json"
    ),
    Recorded(
        "Codex",
        "http://127.0.0.1:1455/callback/4f2a",
        registers={"client_name": "Codex", "redirect_uris": ["http://127.0.0.1:1455/callback/4f2a"], **PUBLIC},
        headers={"mcp-protocol-version": "2025-06-18"},
        probes=(f"{AS}{{path}}", f"{PRM}{{path}}", AS),
        offline=False,
    ),
    Recorded(
        "rmcp (goose)",
        "http://127.0.0.1:39000/callback",
        registers={"client_name": "goose", "redirect_uris": ["http://127.0.0.1:39000/callback"], **PUBLIC},
        headers={"mcp-protocol-version": "2024-11-05"},
        probes=(f"{AS}{{path}}", f"{PRM}{{path}}", AS),
        place=("blue",),
    ),
    Recorded(
        "a client that names no resource",
        "http://127.0.0.1:39000/callback",
        registers={"client_name": "old", "redirect_uris": ["http://127.0.0.1:39000/callback"], **PUBLIC},
        probes=(AS,),
        place=("blue",),
        sends_resource=False,
    ),
]


@pytest.fixture(scope="module")
def sides() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts([CHATGPT])


@pytest.fixture
async def site(sides: Any) -> AsyncIterator[Site]:
    """Where ChatGPT's document is: it names two ways to authenticate, and `none` is one of them."""
    found = Site()
    async with raw(found.script, sides[0]) as server:
        found.port = server.address.origin[2]
        ident = found.id("/oauth/client.json", CHATGPT)
        found.serve(
            "/oauth/client.json",
            client_id=ident,
            client_name="ChatGPT",
            redirect_uris=["https://chatgpt.com/connector_platform_oauth_redirect"],
            **CODE,
            token_endpoint_auth_method="private_key_jwt",
            token_endpoint_auth_methods_supported=["private_key_jwt", "none"],
            jwks_uri=f"https://{CHATGPT}/oauth/jwks.json",
        )
        yield found


@pytest.fixture
async def home(tmp_path: Path, site: Site, sides: Any) -> AsyncIterator[House]:
    """The names of all other sites lead nowhere: there the pinned documents stand in."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        if host != CHATGPT:
            raise OSError(host)
        return ["127.0.0.1"]

    said = {"oauth": {"native_schemes": ["cursor"]}, "key_hosts": {KEY_HOST: "blue/files"}}
    egress = Egress(loopback=True, resolve=resolve, verify=sides[1])
    async with house(tmp_path / "data", said, egress=egress) as running:
        yield running


@pytest.mark.parametrize("client", RECORDED, ids=str)
async def test_each_client_gets_in(home: House, site: Site, client: Recorded) -> None:
    """K1 to K11, K14: 401, documents, registration or document, sign-in, tokens, a call, and a refresh."""
    url, http = home.at(*client.place), home.http
    refused = await http.post(url, json=PING, headers={**BOTH, **client.mcp})
    assert refused.status_code == 401
    challenge = refused.headers["www-authenticate"]
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="{home.origin}{PRM}{urlsplit(url).path}"' in challenge
    assert "error=" not in challenge

    resource, server = await discovered(home, client)
    assert (resource.get("resource", url), server["issuer"]) == (url, home.origin)
    # What decides between a document and registration (K5).
    assert server["client_id_metadata_document_supported"] is True
    assert "none" in server["token_endpoint_auth_methods_supported"]
    assert server["code_challenge_methods_supported"] == ["S256"]

    ident, secret = client.document.format(port=site.port), {}
    if not ident:
        told = await http.post(server["registration_endpoint"], json=client.registers, headers=client.headers)
        assert told.status_code == 201
        registered = read(told)
        assert registered["redirect_uris"] == client.registers["redirect_uris"]
        ident = registered["client_id"]
        if "client_secret" in registered:
            assert registered["client_secret_expires_at"] == 0
            secret = {"client_secret": registered["client_secret"]}

    scopes = resource.get("scopes_supported", server["scopes_supported"][:2])
    offline = ["offline_access"] if client.offline and "offline_access" in server["scopes_supported"] else []
    asked = Asked(
        ident, url if client.sends_resource else None, redirect_uri=client.redirect, scope=" ".join([*scopes, *offline])
    )
    async with home.browser("bob") as browsing:
        came = await allowed(browsing, asked)
    assert (came["state"], came["iss"]) == (asked.state, server["issuer"])

    about = {"resource": url, **secret} if client.sends_resource else secret
    given = await http.post(
        server["token_endpoint"], data={**asked.form(came["code"]), **about}, headers=client.headers
    )
    assert (given.status_code, given.headers["cache-control"]) == (200, "no-store")
    tokens = read(given)
    assert set(tokens["scope"].split()) == {*scopes, *offline}
    await works(home, client, tokens)

    form = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"], "client_id": ident, **about}
    fresh = await http.post(server["token_endpoint"], data=form, headers=client.headers)
    assert fresh.status_code == 200
    assert read(fresh)["refresh_token"] != tokens["refresh_token"]
    await works(home, client, read(fresh))


async def discovered(home: House, client: Recorded) -> tuple[Json, Json]:
    """The resource's and the server's document, asked for in the client's order; every other answer is JSON."""
    found: dict[str, Json] = {}
    for probe in client.probes:
        path = probe.format(path=urlsplit(home.at(*client.place)).path)
        for method in ("HEAD", "GET"):
            answer = await home.http.request(method, home.origin + path, headers=client.headers)
            assert answer.headers["content-type"] == "application/json"
            if method == "GET":
                assert answer.status_code == 200, path
                found.setdefault("resource" if PRM in path else "server", read(answer))
    resource = found.get("resource", {})
    if resource:
        assert resource["authorization_servers"] == [found["server"]["issuer"]]
    return resource, found["server"]


async def works(home: House, client: Recorded, tokens: Json) -> None:
    headers = {**BOTH, **client.mcp, "authorization": f"{tokens['token_type']} {tokens['access_token']}"}
    answer = await home.http.post(home.at(*client.place), json=PING, headers=headers)
    assert (answer.status_code, read(answer)["result"]) == (200, {}), answer.text


@pytest.mark.parametrize("path", ["/Blue/files/mcp", "/BLUE/FILES/MCP", "/blue/files/mcp/", "/blue/files/mcp", "/mcp/"])
async def test_k3_the_resource_is_the_url_as_the_client_typed_it(home: House, path: str) -> None:
    url = home.origin + path
    refused = await home.http.post(url, json=PING, headers=BOTH)
    assert (refused.status_code, f'"{home.origin}{PRM}{path}"' in refused.headers["www-authenticate"]) == (401, True)
    document = read(await home.http.get(f"{home.origin}{PRM}{path}"))
    assert document["resource"] == url

    asked = Asked(await home.registered(), document["resource"], redirect_uri="https://app.example/callback")
    async with home.browser("bob") as browsing:
        code = (await allowed(browsing, asked))["code"]
    # It may be written in its canonical form when the code is redeemed (K8).
    given = await home.token(**asked.form(code, resource=url.lower().rstrip("/")))
    headers = {**BOTH, "authorization": f"Bearer {read(given)['access_token']}"}
    assert (await home.http.post(url, json=PING, headers=headers)).status_code == 200


async def test_a1_heads_are_answered_as_gets_are_and_what_is_no_document_is_json(home: House) -> None:
    for path in (PRM, f"{PRM}/blue/files/mcp", AS, f"{AS}/blue/files/mcp", OIDC, f"/blue/files/mcp{OIDC}"):
        got, head = [await home.http.request(method, home.origin + path) for method in ("GET", "HEAD")]
        assert (got.status_code, head.status_code, head.content) == (200, 200, b""), path
    for path in ("/.well-known/unknown", f"{PRM}/blue", f"{AS}/ui/", "/.well-known/", f"/ui{OIDC}"):
        answer = await home.http.get(home.origin + path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), path
    assert (await home.http.head(home.at("blue", "files"))).status_code == 401


async def test_cursor_with_a_key_never_hears_of_oauth(home: House) -> None:
    """It ignores its configured headers where a server answers OAuth discovery: a host, or a path, that does not."""
    key = await home.portkey("keys", "create", "cursor", "-w", "blue")
    await home.until(200, key, "blue", "files", before=401)
    host = f"http://{KEY_HOST}:{home.gateway.port}"
    for url in (f"{host}/mcp", f"{home.origin}/_key/blue/files/mcp"):
        refused = await home.http.post(url, json=PING, headers=BOTH)
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        answer = await home.http.post(url, json=PING, headers={**BOTH, "authorization": f"Bearer {key}"})
        assert (answer.status_code, read(answer)["result"]) == (200, {})
    probes = [f"{host}{path}{end}" for path in (PRM, AS, OIDC) for end in ("", "/mcp")]
    probes += [f"{home.origin}{path}/_key/blue/files/mcp" for path in (PRM, AS, OIDC)]
    probes += [f"{host}/register", f"{host}/token", f"{home.origin}/_key/blue/files/mcp{OIDC}"]
    for probe in probes:
        answer = await home.http.request("POST" if "well-known" not in probe else "GET", probe)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), probe


async def test_without_the_setting_no_native_scheme_is_taken(tmp_path: Path) -> None:
    async with house(tmp_path / "data") as plain:
        about = {"client_name": "Cursor", "redirect_uris": [CURSOR], **PUBLIC}
        answer = await plain.http.post(f"{plain.origin}/register", json=about)
    assert (answer.status_code, read(answer)["error"]) == (400, "invalid_redirect_uri")


async def test_k5_a_client_that_was_forgotten_registers_again(home: House) -> None:
    answer = await home.refresh("client_forgotten", "pkr_x")
    assert (answer.status_code, read(answer)["error"]) == (401, "invalid_client")


async def test_k9_nobody_is_challenged_for_offline_access(home: House) -> None:
    """A5: the place for it is the metadata of the authorization server."""
    refused = await home.http.post(home.at("blue"), json=PING, headers=BOTH)
    assert "offline_access" not in refused.headers["www-authenticate"]
    assert "offline_access" not in read(await home.http.get(f"{home.origin}{PRM}/blue/mcp"))["scopes_supported"]
    assert "offline_access" in read(await home.http.get(home.origin + AS))["scopes_supported"]


async def test_scripts_of_any_site_may_discover_and_register(home: House) -> None:
    """What the MCP Inspector does from its own pages (CORS)."""
    asking = {"origin": "http://localhost:6274", "access-control-request-method": "POST"}
    for path in ("/register", "/token", AS, f"{PRM}/blue/files/mcp"):
        answer = await home.http.options(home.origin + path, headers=asking)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*"), path
    answer = await home.http.get(home.origin + AS, headers=asking)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


async def test_a15_a_document_is_fetched_once(home: House, site: Site) -> None:
    """A15: ChatGPT's is fetched once for two people."""
    ident = site.id("/oauth/client.json", CHATGPT)
    for name in ("ada", "bob"):
        async with home.browser(name) as browsing:
            redirect = "https://chatgpt.com/connector_platform_oauth_redirect"
            page: httpx2.Response = await browsing.get(Asked(ident, home.at("blue"), redirect_uri=redirect).path())
            assert CHATGPT in page.text
    assert site.asked == ["/oauth/client.json"]
