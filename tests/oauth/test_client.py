"""A client, however it is known."""

import hmac
import inspect

import pytest

from portkey_mcp.oauth.client import Client, Kind, digest_of

DOCUMENT = "https://claude.ai/oauth/mcp-oauth-client-metadata"


def client(ident: str = "a", kind: Kind = "registered", *redirects: str, secret: str = "") -> Client:
    return Client(ident, kind, "App", redirects, digest_of(secret) if secret else "")


def test_a10_a_client_without_a_secret_is_public_and_no_secret_is_its() -> None:
    public = client()

    assert public.is_public
    assert not public.has_secret("")
    assert not public.has_secret("anything")


def test_only_the_secret_itself_is_the_secret() -> None:
    confidential = client(secret="s3cret")

    assert not confidential.is_public
    assert confidential.has_secret("s3cret")
    assert not any(confidential.has_secret(wrong) for wrong in ("", "S3cret", "s3cret ", confidential.secret))


def test_secrets_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def decide(one: str, other: str) -> bool:
        asked.append(one)
        return False

    monkeypatch.setattr(hmac, "compare_digest", decide)
    assert not client(secret="s3cret").has_secret("s3cret")
    assert asked == [digest_of("s3cret")]
    assert "==" not in inspect.getsource(Client.has_secret)


def test_a_secret_is_not_shown() -> None:
    confidential = client(secret="s3cret")

    assert confidential.secret not in repr(confidential)


def test_a15_only_a_document_has_a_host_that_vouches() -> None:
    assert client(DOCUMENT, "document").host == "claude.ai"
    assert client(DOCUMENT, "declared").host == ""
    assert client(DOCUMENT, "registered").host == ""


def test_a14_it_may_redirect_to_what_it_registered() -> None:
    one = client("a", "document", "http://localhost/callback", "https://app.example/cb")

    assert one.may_redirect_to("http://localhost:52100/callback")
    assert one.may_redirect_to("https://app.example/cb")
    assert not one.may_redirect_to("https://app.example:444/cb")


def test_a_digest_is_of_any_text() -> None:
    assert len({digest_of(text) for text in ("", "a", "\ud800", "ä")}) == 4
