"""The policy document: what a workspace's YAML may say, and nothing it may not."""

import zoneinfo
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictStr, model_validator

from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.policy.measures import Duration, Size
from portkey_mcp.policy.parts import Argument, Largest, Limit, Match, Part, Redactions, When, Whom


class Rule(Part):
    """One rule: what it is about, whom it is for (None: everybody), and what then holds; None says nothing of it."""

    match: Match
    for_: Whom | None = Field(default=None, alias="for")
    enabled: StrictBool | None = None
    read_only: StrictBool | None = None
    """Only tools that say `readOnlyHint: true` exist."""
    rename: StrictStr | None = Field(default=None, pattern=r"^[A-Za-z0-9_.-]{1,128}$")
    describe: StrictStr | None = Field(default=None, min_length=1, max_length=10_000)
    arguments: dict[StrictStr, Argument] | None = None
    cost: Annotated[int, Field(ge=0, le=10**6, strict=True)] | None = None
    """What one call counts in limits of `cost`; 1 where no rule says so."""
    limits: tuple[Limit, ...] = ()
    timeout: Duration | None = None
    """Silence after which a call ends; each notification of the server begins it anew."""
    max_timeout: Duration | None = None
    """When a call ends, however much its server says meanwhile."""
    max_arguments: Size | None = None
    max_result: Largest | None = None
    check_arguments: StrictBool | None = None
    """Compare arguments with the tool's schema before they leave."""
    when: When | None = None
    redact: Redactions | None = None
    hidden_text: Literal["keep", "remove", "refuse"] | None = None
    """Characters that people do not see and models read, in descriptions and results."""
    require_approval: StrictBool | None = None

    @model_validator(mode="after")
    def _is_about_what_it_changes(self) -> "Rule":
        if self.rename is not None and not _is_one_tool(self.match):
            raise ValueError("`rename` needs a `match` of exactly one tool, like linear/delete_issue")
        tools_only = [name for name in ("read_only", "describe", "arguments", "check_arguments") if getattr(self, name)]
        if tools_only and not any("tool" in compile_pattern(text).kinds for text in self.match):
            raise ValueError(f"`{tools_only[0]}` is about tools, and this `match` names none")
        return self


def _is_one_tool(match: tuple[str, ...]) -> bool:
    return len(match) == 1 and not set("*?") & set(match[0]) and compile_pattern(match[0]).kinds == {"tool"}


class ServerPolicy(Part):
    """What holds for one server as a whole.

    `pin`: a tool whose definition changes waits for a person; `new_tools: review`: so does a new one. The others say
    what the server may ask of its callers' clients.
    """

    new_tools: Literal["allow", "review"] = "allow"
    pin: StrictBool = False
    allow_sampling: StrictBool = True
    allow_elicitation: StrictBool = True
    allow_roots: StrictBool = True

    @property
    def refused(self) -> tuple[str, ...]:
        """The client capabilities that this server never learns of."""
        said = {"sampling": self.allow_sampling, "elicitation": self.allow_elicitation, "roots": self.allow_roots}
        return tuple(name for name, allowed in said.items() if not allowed)


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"{name!r} is no time zone; expected one like UTC, Europe/Berlin or America/New_York"
        ) from None
    return name


class Policy(Part):
    """A workspace's policy. Rules are read top to bottom; a later one overrides an earlier one, member by member.

    Limits add up: all of them must hold. `time_zone` says when a day, a week or a month begins.
    """

    version: Literal[1] = 1
    time_zone: Annotated[StrictStr, AfterValidator(_zone)] = "UTC"
    on_store_error: Literal["deny", "allow"] = "deny"
    """What happens to a call with limits while they cannot be counted."""
    rules: tuple[Rule, ...] = ()
    servers: dict[StrictStr, ServerPolicy] = Field(default_factory=dict)


EMPTY = Policy()
"""No rule: everything is allowed to every member of the workspace."""


def parse(data: Any) -> Policy:
    """Read a document as it came from YAML or JSON. None (an empty file) is refused: it may be half a file.

    Raises:
        pydantic.ValidationError: with the place of each mistake in `errors()[…]["loc"]`.
    """
    return Policy.model_validate(data)


def schema() -> dict[str, Any]:
    """The JSON Schema of the document, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Policy.model_json_schema(by_alias=True)}
