"""The shape of the file, and the schema that editors complete from."""

from portkey_mcp.registry.document import schema
from portkey_mcp.registry.schema import Document


def test_the_whole_example_of_the_readme_has_the_shape() -> None:
    document = Document.model_validate(
        {
            "version": 1,
            "gateway": {"public_url": "http://x", "auth": "required", "hosts": {"a.example.com": "demo/files"}},
            "workspaces": {
                "demo": {
                    "name": "Demo",
                    "servers": {
                        "files": {"command": ["npx"], "env": {"A": "b"}, "cwd": "/srv", "process": "shared"},
                        "old": {"url": "https://x/sse", "transport": "sse", "protocol": "2025-11-25", "enabled": False},
                        "key": {"url": "https://x", "auth": {"type": "headers", "headers": {"X": "${env:A}"}}},
                    },
                    "bundles": {"reading": {"title": "Reading", "include": ["files/*"]}},
                    "members": [{"email": "ada@example.com", "role": "admin", "groups": ["ops"], "name": "Ada"}],
                    "api_keys": [{"name": "ci", "key": "${env:CI}", "role": "viewer"}],
                    "policy": {"version": 1, "rules": [{"match": "*"}]},
                },
                "other": {"policy": "policies/other.yaml"},
            },
        }
    )
    assert document.workspaces["demo"].servers["files"].command == ("npx",)
    assert document.workspaces["other"].policy == "policies/other.yaml"


def test_the_json_schema_names_every_key_and_forbids_others() -> None:
    found = schema()
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert found["additionalProperties"] is False
    assert set(found["properties"]) == {"version", "gateway", "workspaces"}
    server = found["$defs"]["ServerPart"]
    assert set(found["$defs"]["MemberPart"]["properties"]) == {"email", "role", "groups", "name"}
    assert {"url", "command", "transport", "protocol", "process", "auth"} <= set(server["properties"])
    assert found["$defs"]["Policy"]["additionalProperties"] is False
