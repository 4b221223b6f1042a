"""What the file may say about signing in: nothing else, and every key is in the schema that editors use."""

import pytest
from pydantic import ValidationError

from portkey_mcp.registry.document import schema
from portkey_mcp.registry.trust_schema import OAuthPart, ProviderPart, SignInPart


def test_a_key_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        SignInPart.model_validate({"pasword": False})


@pytest.mark.parametrize(("key", "value"), [("access_token_minutes", 0), ("refresh_token_days", 10_000)])
def test_a_life_has_bounds(key: str, value: int) -> None:
    with pytest.raises(ValidationError):
        OAuthPart.model_validate({key: value})


def test_a_provider_needs_three_things_only() -> None:
    part = ProviderPart(id="work", issuer="https://id.example", client_id="gateway")

    assert (part.create, part.scopes, part.groups_claim) == (True, ("openid", "email", "profile"), "groups")


def test_editors_are_told_of_all_of_it() -> None:
    parts = schema()["$defs"]

    assert {"SignInPart", "ProviderPart", "OAuthPart", "IssuerPart", "ClientPart"} <= set(parts)
