"""The shape of `auth:`: one set of keys for all kinds, and none besides."""

import pytest
from pydantic import ValidationError

from portkey_mcp.registry.auth_schema import ServerAuth


def test_an_auth_says_its_kind() -> None:
    with pytest.raises(ValidationError, match="type"):
        ServerAuth.model_validate({"client_id": "x"})


@pytest.mark.parametrize("wrong", [{"type": "oauth2"}, {"type": "oauth", "clientId": "x"}, {"type": "none", "x": 1}])
def test_what_it_does_not_know_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ServerAuth.model_validate(wrong)
