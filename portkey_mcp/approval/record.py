"""One approval as a value: what it is bound to, what may be shown of it, and who may decide. Pure."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from portkey_mcp.approval.question import bare
from portkey_mcp.model import Principal, Visit
from portkey_mcp.policy.decide import Thing
from portkey_mcp.trust import MCP_CALL
from portkey_mcp.wire import Json

Via = Literal["elicitation", "page"]
State = Literal["asked", "granted", "denied", "used"]


class Asked(NamedTuple):
    """A question that waits for a person until it expires."""

    id: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Approval:
    """What may be shown of one approval, legible as it is: the thing's name as `question.named` writes it.

    `who` is the name of the principal while that is kept, else its id. `short` and `full` are the arguments, empty
    unless they were read and are still kept; `wrong` counts keys that were tried in vain.
    """

    id: str
    workspace: str
    principal: str
    who: str
    thing: Thing
    state: State
    via: Via
    created: datetime
    expires: datetime
    decided_by: str
    decided_at: datetime | None
    short: str = ""
    full: str = ""
    wrong: int = 0


def digest(visit: Visit, thing: Thing, params: Json) -> str:
    """What an approval is bound to, as one digest: equal for the same call, made again by the same principal."""
    bound = [visit.principal.id, visit.endpoint.workspace.slug, *thing, bare(params)]
    text = json.dumps(bound, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def may_decide(principal: Principal, approval: Approval) -> bool:
    """Whether this principal may decide: the one who called, or an owner or admin of the workspace.

    With a credential that is good for one server, or without calling tools, nobody decides more than they could call.
    """
    here = approval.workspace, f"{approval.workspace}/{approval.thing.server}"
    if principal.reach is not None and principal.reach not in here:
        return False
    if principal.scopes is not None and MCP_CALL not in principal.scopes:
        return False
    role = principal.role_in(approval.workspace)
    return role in ("owner", "admin") or (role is not None and principal.id == approval.principal)
