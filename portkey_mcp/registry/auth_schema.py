"""The shape of `auth:` of a server in `portkey.yaml`. Which keys go together is `proving.py`'s."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr

from portkey_mcp.proof import ClientMethod, Sharing
from portkey_mcp.registry.trust_schema import Names, Texts

Kind = Literal[
    "none",
    "headers",
    "oauth",
    "client_credentials",
    "workload_identity",
    "token_exchange",
    "enterprise",
    "identity",
]


class ServerAuth(BaseModel):
    """How the gateway proves itself to a server; see `proof.py` for what each kind is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Kind
    headers: Texts = {}
    ask: Texts = {}
    sharing: Sharing | None = None
    client_id: StrictStr = ""
    client_secret: StrictStr = ""
    private_key: StrictStr = ""
    signing_algorithm: StrictStr = ""
    token_endpoint_auth_method: ClientMethod = "auto"  # noqa: S105 - the name of a way
    issuer: StrictStr = ""
    authorization_endpoint: StrictStr = ""
    token_endpoint: StrictStr = ""
    revocation_endpoint: StrictStr = ""
    scopes: Names = ()
    authorize_params: Texts = {}
    send_resource: StrictBool = True
    token: StrictStr = ""
    audience: StrictStr = ""
    subject: Literal["identity", "sign_in"] | None = None
    provider: StrictStr = ""
    claims: Texts = {}
    token_header: StrictStr = ""
