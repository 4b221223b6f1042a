"""A credential as JSON, as it is sealed, and back. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portkey_mcp.vault.connection import Client, Credential, Endpoint, Tokens
from portkey_mcp.wire import Json


def written(credential: Credential) -> Json:
    """All of it but `resource`, which its row says and the seal binds."""
    return {
        "tokens": None if credential.tokens is None else _tokens(credential.tokens),
        "endpoint": None if credential.endpoint is None else _members(credential.endpoint),
        "client": None if credential.client is None else _members(credential.client),
        "scopes": list(credential.scopes),
        "entered": dict(credential.entered),
    }


def read(value: Any, resource: str) -> Credential:
    """The credential that `written` wrote.

    Raises:
        ValueError: it is none, or one of a version to come.
    """
    try:
        return Credential(
            resource,
            None if value["tokens"] is None else _read_tokens(value["tokens"]),
            None if value["endpoint"] is None else _read_endpoint(value["endpoint"]),
            None if value["client"] is None else Client(**value["client"]),
            tuple(value["scopes"]),
            dict(value["entered"]),
        )
    except (KeyError, TypeError) as error:
        # The error may quote a value: a name is all that is told.
        raise ValueError(f"no credential ({type(error).__name__})") from None


def _members(value: Endpoint | Client) -> Json:
    return {name: getattr(value, name) for name in value.__slots__}


def _tokens(tokens: Tokens) -> Json:
    return {
        "access": tokens.access,
        "kind": tokens.kind,
        "expires": None if tokens.expires is None else tokens.expires.isoformat(),
        "refresh": tokens.refresh,
        "scopes": None if tokens.scopes is None else list(tokens.scopes),
        "id_token": tokens.id_token,
        "dpop_key": tokens.dpop_key,
    }


def _read_tokens(value: Mapping[str, Any]) -> Tokens:
    read_anew = {
        "expires": None if value["expires"] is None else datetime.fromisoformat(value["expires"]),
        "scopes": None if value["scopes"] is None else tuple(value["scopes"]),
    }
    return Tokens(**{**value, **read_anew})


def _read_endpoint(value: Mapping[str, Any]) -> Endpoint:
    return Endpoint(**{**value, "methods": tuple(value["methods"]), "dpop": tuple(value["dpop"])})
