"""The policy document: what a workspace's YAML may say, and nothing it may not.

A member that this version does not enforce is refused, never skipped: a rule that silently does nothing is a hole.
"""

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from portkey_mcp.model import Role
from portkey_mcp.policy.match import compile_pattern

LONGEST_PATTERN = 1024
"""Characters of one pattern; eight times the longest tool name the protocol advises, and room for URIs."""


def _patterns(value: Any) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise ValueError("must be a pattern like server/tool, or a list of at least one")
    for text in texts:
        if len(text) > LONGEST_PATTERN:
            raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters, this one {len(text)}")
        compile_pattern(text)
    return tuple(texts)


_ONE = {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}
Match = Annotated[
    tuple[str, ...],
    BeforeValidator(_patterns),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]


def _somebody(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names:
        raise ValueError("names nobody; give at least one, or leave it out")
    return names


_AT_LEAST_ONE = (AfterValidator(_somebody), Field(json_schema_extra={"minItems": 1}))
Names = Annotated[tuple[str, ...], *_AT_LEAST_ONE]
Roles = Annotated[tuple[Role, ...], *_AT_LEAST_ONE]


class _Part(BaseModel):
    """Frozen, no unknown members, and a clear word about those that only a later version will know."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)
    later: ClassVar[Iterable[str]] = ()

    @model_validator(mode="before")
    @classmethod
    def _refuse_what_is_not_enforced(cls, data: Any) -> Any:
        if isinstance(data, dict) and (found := [name for name in cls.later if name in data]):
            raise ValidationError.from_exception_data(cls.__name__, [_unsupported(name, data[name]) for name in found])
        return data


def _unsupported(name: str, value: Any) -> InitErrorDetails:
    reason = PydanticCustomError("not_supported", "`{name}` is not supported by this version", {"name": name})
    return InitErrorDetails(type=reason, loc=(name,), input=value)


class Whom(_Part):
    """Whom a rule is for. Every member given must fit; within one, any of its values does.

    `roles` are those in the workspace; `groups` and `people` are compared exactly, `people` with the principal's id (a
    display name is chosen by its bearer and decides nothing).
    """

    later: ClassVar[Iterable[str]] = ("clients",)
    roles: Roles | None = None
    groups: Names | None = None
    people: Names | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> "Whom":
        if self.roles is None and self.groups is None and self.people is None:
            raise ValueError("names nobody; give roles, groups or people, or leave `for` out for everybody")
        return self


class Rule(_Part):
    """One rule: what it is about, whom it is for (None: everybody), and what then holds; None says nothing of it."""

    later: ClassVar[Iterable[str]] = ("timeout", "max_result", "limits", "require_approval", "when", "redact")
    match: Match
    for_: Whom | None = Field(default=None, alias="for")
    enabled: StrictBool | None = None


class ServerPolicy(_Part):
    """What holds for one server as a whole; this version knows no such thing yet."""

    later: ClassVar[Iterable[str]] = ("new_tools", "pin")


class Policy(_Part):
    """A workspace's policy. Rules are read top to bottom; a later one overrides an earlier one, member by member."""

    version: Literal[1] = 1
    rules: tuple[Rule, ...] = ()
    servers: dict[str, ServerPolicy] = Field(default_factory=dict)


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
