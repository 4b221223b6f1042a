"""What a file says about signing in is checked with the line it stands in, and taken over in the gateway's words."""

from pathlib import Path
from textwrap import dedent

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.registry.document import load
from portkey_mcp.trust import DeclaredClient, Enterprise, Joining, Provider, Terms, Trust, TrustedIssuer

WHOLE = """
    version: 1
    gateway:
      sign_in:
        password: false
        providers:
          - id: work
            issuer: https://id.example.com
            client_id: gateway
            client_secret: "${env:OIDC_SECRET}"
            domains: ["@Example.com"]
            join: [{workspace: demo, role: admin, claimed: [ops]}]
      oauth:
        access_token_minutes: 60
        refresh_token_days: 30
        registration: false
        document_domains: [Claude.ai]
        native_schemes: [Cursor]
        clients: [{id: desk, name: Desk, redirect_uris: ["https://desk.example.com/cb"], secret: "${env:DESK}"}]
        enterprise: [{issuer: "https://id.example.com"}]
      issuers:
        - {issuer: "https://ci.example.com", audience: portkey, workspace: demo, required: {repo: acme/x}}
    workspaces:
      demo: {}
"""


def file(folder: Path, text: str) -> Path:
    path = folder / "portkey.yaml"
    path.write_text(dedent(text))
    return path


def test_all_of_it_is_taken_over(tmp_path: Path) -> None:
    assert load(file(tmp_path, WHOLE)).trust == Trust(
        password=False,
        providers=(
            Provider(
                id="work",
                issuer="https://id.example.com",
                client_id="gateway",
                client_secret="${env:OIDC_SECRET}",
                name="Work",
                domains=("example.com",),
                join=(Joining("demo", "admin", (), ("ops",)),),
            ),
        ),
        issuers=(TrustedIssuer("https://ci.example.com", "portkey", "demo", required={"repo": "acme/x"}),),
        enterprises=(Enterprise("https://id.example.com"),),
        clients=(DeclaredClient("desk", "Desk", ("https://desk.example.com/cb",), "${env:DESK}"),),
        terms=Terms(3600, 30 * 86_400, False, True, ("claude.ai",), ("cursor",)),
    )


def test_without_any_of_it_people_sign_in_with_passwords(tmp_path: Path) -> None:
    assert load(file(tmp_path, "version: 1")).trust == Trust()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("issuer: https://id.example.com\n", "issuer: http://id.example.com\n", 8, "is not encrypted; expected https"),
        ("- id: work", "- id: Work!", 7, "'Work!' is no id"),
        ("workspace: demo, role: admin", "workspace: dem, role: admin", 12, "this file has no workspace 'dem'"),
        ('["@Example.com"]', '["a b"]', 11, "is no host name"),
        ("${env:OIDC_SECRET}", "${OIDC_SECRET}", 10, "did you mean ${env:OIDC_SECRET}?"),
        ("[Cursor]", "[javascript]", 18, "is no scheme of a program"),
        ("id: desk", "id: 'https://desk.example.com'", 19, "is no client id"),
        ("audience: portkey", "audience: ''", 22, "tokens meant for others would be taken"),
        ("audience: portkey", "audience: x, check: introspection", 22, "introspection needs url"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, words: str) -> None:
    assert old in WHOLE
    with pytest.raises(Mistakes) as told:
        load(file(tmp_path, WHOLE.replace(old, new)))

    assert [(one.line, words in one.what) for one in told.value.mistakes] == [(line, True)]


def test_somebody_must_be_able_to_sign_in(tmp_path: Path) -> None:
    with pytest.raises(Mistakes, match="nobody could sign in"):
        load(file(tmp_path, "version: 1\ngateway: {sign_in: {password: false}}"))
