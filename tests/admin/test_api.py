"""The document and the routes are the same, and nothing else is served."""

import re
from typing import Any

import pytest

from portkey_mcp import __version__
from tests.admin.conftest import House, error_of

pytestmark = pytest.mark.anyio

ROUTES = {
    "/people": {"get", "post"},
    "/people/{person}": {"patch", "delete"},
    "/invitations": {"get", "post"},
    "/invitations/{ident}": {"delete"},
    "/keys": {"get", "post"},
    "/keys/{ident}": {"delete"},
    "/policy": {"get", "put", "patch"},
    "/policy/versions": {"get"},
    "/policy/versions/{number}": {"get"},
    "/policy/rollback": {"post"},
    "/policy/check": {"post"},
    "/explain": {"get"},
    "/limits": {"get"},
    "/definitions": {"get"},
    "/definitions/{server}/{name}": {"get", "post"},
    "/approvals": {"get"},
    "/approvals/{ident}": {"get", "post"},
    "/audit": {"get"},
    "/grants": {"get"},
    "/grants/{ident}": {"delete"},
    "/connections": {"get"},
    "/connections/{server}/{subject}": {"delete"},
}


async def document(house: House) -> Any:
    async with house.client(None) as client:
        answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_the_document_has_exactly_the_routes_there_are(house: House) -> None:
    said = await document(house)
    assert said["info"]["title"] == "portkey-mcp"
    assert said["info"]["version"] == __version__
    found = {path: set(methods) for path, methods in said["paths"].items()}
    assert found == {f"/api/v1/workspaces/{{workspace}}{path}": methods for path, methods in ROUTES.items()}


async def test_every_operation_says_what_it_does_and_how_it_fails(house: House) -> None:
    said = await document(house)
    operations = [operation for path in said["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names)
    for operation in operations:
        assert operation["description"]
        assert {"200", "4XX", "503"} <= set(operation["responses"])
        assert "422" not in operation["responses"]
        assert operation["security"]


async def test_every_route_of_the_document_refuses_strangers_and_members_of_other_workspaces(house: House) -> None:
    await house.key("stranger", "owner", "other")
    said = await document(house)
    for path, methods in said["paths"].items():
        url = re.sub(r"\{\w+\}", "1", path.replace("{workspace}", "demo")).removeprefix("/api/v1")
        for method in methods:
            for key, wanted in ((None, (401, "unauthenticated")), ("stranger", (404, "not_found"))):
                async with house.client(key) as client:
                    body = {"json": {}} if method != "get" else {}
                    assert error_of(await client.request(method, url, **body)) == wanted, (method, url)


async def test_other_paths_and_methods_are_told_in_json_and_never_redirected(house: House) -> None:
    policy = "/workspaces/demo/policy"
    async with house.client() as client:
        for method, path in (
            ("GET", "/"),
            ("GET", f"{policy}/"),
            ("GET", "/nothing"),
            ("DELETE", policy),
            ("OPTIONS", policy),
        ):
            answer = await client.request(method, path)
            assert error_of(answer) == (404, "not_found")
            assert "/api/v1/openapi.json" in answer.text
