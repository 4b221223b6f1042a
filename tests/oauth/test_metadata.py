"""What the gateway says of itself, read as the MCP SDK's clients read it."""

import pytest
from mcp.client.auth.utils import validate_metadata_issuer
from mcp.shared.auth import OAuthMetadata, ProtectedResourceMetadata

from portkey_mcp.oauth.metadata import openid_metadata, resource_metadata, server_metadata
from portkey_mcp.trust import Enterprise, Terms, Trust

ISSUERS = ["https://gw.example", "https://gw.example/tools", "http://127.0.0.1:8080"]
RESOURCE = "https://gw.example/demo/files/mcp"


@pytest.mark.parametrize("issuer", ISSUERS)
@pytest.mark.parametrize("made", [server_metadata, openid_metadata])
def test_a11_k4_the_issuer_is_one_string_and_the_sdk_takes_it(issuer: str, made: type) -> None:
    document = made(issuer, Trust())
    read = OAuthMetadata.model_validate(document)

    validate_metadata_issuer(read, issuer)
    assert document["issuer"] == str(read.issuer) == issuer
    assert str(read.authorization_endpoint) == f"{issuer}/authorize"
    assert document["issuer"] == resource_metadata(RESOURCE, issuer)["authorization_servers"][0]


def test_a11_k5_k6_it_says_all_that_clients_look_for() -> None:
    read = OAuthMetadata.model_validate(server_metadata("https://gw.example", Trust()))

    assert read.response_types_supported == ["code"]
    assert read.grant_types_supported == ["authorization_code", "refresh_token"]
    assert read.code_challenge_methods_supported == ["S256"]
    assert "none" in (read.token_endpoint_auth_methods_supported or [])
    assert read.client_id_metadata_document_supported is True
    assert str(read.registration_endpoint) == "https://gw.example/register"
    assert str(read.revocation_endpoint) == "https://gw.example/revoke"


def test_a13_k14_it_promises_iss() -> None:
    assert server_metadata("https://gw.example", Trust())["authorization_response_iss_parameter_supported"] is True


def test_a5_k9_offline_access_is_the_servers_and_not_the_resources() -> None:
    assert "offline_access" in server_metadata("https://gw.example", Trust())["scopes_supported"]
    assert resource_metadata(RESOURCE, "https://gw.example")["scopes_supported"] == ["mcp:read", "mcp:call"]


def test_what_is_switched_off_is_not_promised() -> None:
    document = server_metadata("https://gw.example", Trust(terms=Terms(registration=False, documents=False)))

    assert "registration_endpoint" not in document
    assert document["client_id_metadata_document_supported"] is False


def test_k15_enterprises_add_their_grant() -> None:
    alone = server_metadata("https://gw.example", Trust())
    document = server_metadata("https://gw.example", Trust(enterprises=(Enterprise("https://idp.example"),)))

    assert "authorization_grant_profiles_supported" not in alone
    assert document["authorization_grant_profiles_supported"] == ["urn:ietf:params:oauth:grant-profile:id-jag"]
    assert "urn:ietf:params:oauth:grant-type:jwt-bearer" in document["grant_types_supported"]


def test_introspection_is_not_for_clients_without_a_secret() -> None:
    assert "none" not in server_metadata("x", Trust())["introspection_endpoint_auth_methods_supported"]


def test_k4_the_openid_document_has_what_such_documents_must_have() -> None:
    document = openid_metadata("https://gw.example", Trust())

    assert document["jwks_uri"] == "https://gw.example/.well-known/jwks.json"
    assert document["subject_types_supported"] == ["public"]
    assert "RS256" in document["id_token_signing_alg_values_supported"]


def test_a1_k3_a_resource_is_the_url_as_the_client_has_it() -> None:
    document = resource_metadata(f"{RESOURCE}/", "https://gw.example")
    read = ProtectedResourceMetadata.model_validate(document)

    assert document["resource"] == str(read.resource) == f"{RESOURCE}/"
    assert [str(server) for server in read.authorization_servers] == ["https://gw.example"]
    assert read.bearer_methods_supported == ["header"]
