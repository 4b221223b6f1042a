"""The gateway that the suite's sign-in scenarios see as their client: what its file says for each of them.

One gateway serves many scenarios: each adds its server to the file that is watched. A scenario that needs another
`gateway:` part, or something in the data directory, gets a gateway of its own.
"""

import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.conformance import processes
from tests.conformance.suite import ROOT

Json = dict[str, Any]

SHARED = "PORTKEY_MCP_CONFORMANCE_GATEWAY"
"""The environment variable that names a gateway which runs already: its origin and its file, as JSON."""

DOCUMENT_URL = "https://conformance-test.local/client-metadata.json"
"""Where the suite expects the client's own metadata document; nothing is there."""

CIMD, ENTERPRISE = "auth/basic-cimd", "auth/enterprise-managed-authorization"
PROVIDER = "idp"


@dataclass(frozen=True)
class Served:
    """A gateway that is ready, and the file that it watches; `key` is a person's API key, where it asks who calls."""

    origin: str
    config: Path
    key: str = ""

    def at(self, server: str) -> str:
        """The URL of a server's endpoint."""
        return f"{self.origin}/conformance/{server}/mcp"


@contextmanager
def shared() -> Iterator[dict[str, str]]:
    """Run the gateway that scenarios share; gives the environment in which drivers find it."""
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), base()) as served:
        yield {SHARED: json.dumps({"origin": served.origin, "config": str(served.config)})}


@contextmanager
def for_scenario(scenario: str, context: Json, url: str, name: str) -> Iterator[Served]:
    """A gateway with the scenario's server, called `name`, which may not be served quite yet."""
    with tempfile.TemporaryDirectory() as folder:
        server = {"url": url, "auth": auth_of(scenario, context, Path(folder))}
        told = os.environ.get(SHARED)
        if told and scenario not in (CIMD, ENTERPRISE):
            known = json.loads(told)
            served = Served(known["origin"], Path(known["config"]))
            _add(served.config, name, server)
            yield served
            return
        document = base(**part_of(scenario, context))
        document["workspaces"]["conformance"]["servers"][name] = server
        key = _plant(Path(folder, "data"), context) if scenario == ENTERPRISE else ""
        with serving(Path(folder), document) as served:
            yield replace(served, key=key)


@contextmanager
def serving(folder: Path, document: Json) -> Iterator[Served]:
    """Run a gateway on a file."""
    config = folder / "portkey.yaml"
    config.write_text(json.dumps(document))
    with processes.serve(config, folder / "data") as origin:
        yield Served(origin, config)


def base(**more: Any) -> Json:
    """A file without servers. The suite's servers are on loopback, where nothing remote may lead unless it is said."""
    gateway = {"auth": "none", "egress": {"allow": ["127.0.0.0/8", "::1/128"]}, **more}
    return {"version": 1, "gateway": gateway, "workspaces": {"conformance": {"servers": {}}}}


def part_of(scenario: str, context: Json) -> Json:
    """What the `gateway:` part says besides, for one scenario."""
    if scenario == CIMD:
        return {"oauth": {"client_metadata_url": DOCUMENT_URL}}
    if scenario == ENTERPRISE:
        provider = {"id": PROVIDER, "issuer": context["idp_issuer"], "client_id": context["idp_client_id"]}
        return {"auth": "required", "sign_in": {"providers": [provider]}}
    return {}


def auth_of(scenario: str, context: Json, folder: Path) -> Json:
    """`auth:` of the scenario's server; a key that it wants in a file is put into `folder`."""
    client = {key: context[key] for key in ("client_id", "client_secret") if key in context}
    match scenario:
        case "auth/client-credentials-jwt":
            key = folder / "client.pem"
            key.write_text(context["private_key_pem"])
            algorithm = context["signing_algorithm"]
            signing = {"private_key": f"${{file:{key}}}", "signing_algorithm": algorithm}
            return {"type": "client_credentials", **client, **signing}
        case "auth/client-credentials-basic":
            return {"type": "client_credentials", **client}
        case "auth/wif-jwt-bearer":
            return {"type": "workload_identity", **client, "token": context["valid_jwt"]}
        case "auth/enterprise-managed-authorization":
            return {"type": "enterprise", "provider": PROVIDER, **client}
        case _:
            return {"type": "oauth", **client}


def _add(config: Path, name: str, server: Json) -> None:
    """Add a server to a file that others add to at the same time."""
    with config.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        document = json.loads(config.read_text())
        document["workspaces"]["conformance"]["servers"][name] = server
        new = config.with_suffix(".new")
        new.write_text(json.dumps(document))
        new.replace(config)


def _plant(data: Path, context: Json) -> str:
    """Let a person have signed in by the suite's provider, which has no page where anybody could; gives their key."""
    command = [sys.executable, "-m", "tests.conformance.signed_in", str(data)]
    ended = subprocess.run(command, cwd=ROOT, input=json.dumps(context), stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout.split()[-1]
