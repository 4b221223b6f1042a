"""What is trusted tells no secret of itself."""

from portkey_mcp.trust import SCOPES, DeclaredClient, Provider, Trust, TrustedIssuer


def test_no_secret_is_in_what_is_printed() -> None:
    trust = Trust(
        providers=(Provider("p", "https://p.example", "id", "planted"),),
        issuers=(TrustedIssuer("https://i.example", "aud", "demo", client_secret="planted"),),
        clients=(DeclaredClient("c", "C", ("https://c.example/cb",), "planted"),),
    )

    assert "planted" not in repr(trust)


def test_scopes_go_from_the_one_that_allows_least() -> None:
    assert SCOPES == ("mcp:read", "mcp:call")
