"""What the members of a rule may say, one type each: limits, redactions, fixed arguments, whom a rule is for."""

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StrictBool,
    StrictInt,
    StrictStr,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from portkey_mcp.model import Role
from portkey_mcp.policy.conditions import LONGEST as LONGEST_CONDITION
from portkey_mcp.policy.conditions import Condition
from portkey_mcp.policy.guards.regex import compile_own
from portkey_mcp.policy.match import compile_pattern
from portkey_mcp.policy.measures import Size, size

LONGEST_PATTERN: Final = 1024
"""Characters of one pattern; eight times the longest tool name the protocol advises, and room for URIs."""

Window = Literal["minute", "hour", "day", "week", "month"]
Subject = Literal["user", "key", "tool", "server", "workspace", "all"]
Recogniser = Literal["secrets", "jwt", "pem", "email", "card", "iban", "phone"]
Action = Literal["mask", "block", "log"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Part(BaseModel):
    """Frozen, and no unknown members: a rule that silently does nothing is a hole."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=False)


@dataclass(eq=False, slots=True)
class _Short:
    """In the JSON Schema, a short form beside the long one."""

    form: dict[str, Any]

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [self.form, handler(schema)]}


def _patterns(value: Any) -> Any:
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a pattern like server/tool, or a list of at least one")
    return value


def _pattern(text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError("must be a pattern like server/tool")
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"a pattern has at most {LONGEST_PATTERN} characters, this one {len(text)}")
    compile_pattern(text)
    return text


_ONE = {"type": "string", "minLength": 1, "maxLength": LONGEST_PATTERN}
Match = Annotated[
    tuple[Annotated[str, BeforeValidator(_pattern)], ...],
    BeforeValidator(_patterns),
    WithJsonSchema({"anyOf": [_ONE, {"type": "array", "items": _ONE, "minItems": 1}]}),
]


def _somebody(names: tuple[Any, ...]) -> tuple[Any, ...]:
    if not names:
        raise ValueError("names nobody; give at least one, or leave it out")
    return names


def _network(value: Any) -> Network:
    try:
        return ipaddress.ip_network(value) if isinstance(value, str) else ipaddress.ip_network(None)  # type: ignore[arg-type]
    except ValueError as error:
        said = str(error) if "host bits" in str(error) else ""
        raise ValueError(said or "expected a network like 10.0.0.0/8, 192.168.1.7 or fd00::/8") from None


_AT_LEAST_ONE = (AfterValidator(_somebody), Field(json_schema_extra={"minItems": 1}))
Names = Annotated[tuple[StrictStr, ...], *_AT_LEAST_ONE]
Roles = Annotated[tuple[Role, ...], *_AT_LEAST_ONE]
Networks = Annotated[
    tuple[
        Annotated[
            Any,
            BeforeValidator(_network),
            PlainSerializer(str, return_type=str),
            WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8", "fd00::/8"]}),
        ],
        ...,
    ],
    *_AT_LEAST_ONE,
]


class Whom(Part):
    """Whom a rule is for. Every member given must fit; within one, any of its values does.

    `roles` are those in the workspace; `groups` are compared exactly, `people` with the e-mail address of a person or
    the principal's id (a display name is chosen by its bearer and decides nothing); `service_accounts` with the names
    of API keys; `clients` with the id under which an OAuth client registered; `networks` with the address the request
    came from.
    """

    roles: Roles | None = None
    groups: Names | None = None
    people: Names | None = None
    service_accounts: Names | None = None
    clients: Names | None = None
    networks: Networks | None = None

    @model_validator(mode="after")
    def _names_somebody(self) -> "Whom":
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(
                "names nobody; give roles, groups, people, service_accounts, clients or networks, "
                "or leave `for` out for everybody"
            )
        return self


class Limit(Part):
    """How much is allowed: `calls` or `cost` in a calendar window, or calls at the same time (`concurrent`).

    `each` says who has a count of their own; several, like [user, tool], have one for each combination.
    """

    calls: StrictInt | None = Field(default=None, ge=0, le=10**12)
    cost: StrictInt | None = Field(default=None, ge=0, le=10**12)
    concurrent: StrictInt | None = Field(default=None, ge=0, le=10**6)
    per: Window | None = None
    each: Annotated[
        tuple[Subject, ...],
        BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
        WithJsonSchema(
            {"anyOf": [{"enum": list(Subject.__args__)}, {"type": "array", "items": {"enum": list(Subject.__args__)}}]}
        ),
        *_AT_LEAST_ONE,
    ] = ("workspace",)

    @model_validator(mode="after")
    def _is_one_limit(self) -> "Limit":
        given = [name for name in ("calls", "cost", "concurrent") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a limit has exactly one of calls, cost and concurrent")
        if given == ["concurrent"] and self.per is not None:
            raise ValueError("`concurrent` counts calls at the same time and has no `per`")
        if given != ["concurrent"] and self.per is None:
            raise ValueError(f"`{given[0]}` needs `per`: minute, hour, day, week or month")
        return self

    @property
    def amount(self) -> int:
        """The number that must not be exceeded."""
        return next(n for n in (self.calls, self.cost, self.concurrent) if n is not None)


class Redaction(Part):
    """What is looked for, where, and what is done about it. `log` only notes that it was there, never what."""

    find: Recogniser | None = None
    pattern: Annotated[StrictStr, AfterValidator(lambda text: (compile_own(text), text)[1])] | None = None
    name: StrictStr | None = Field(default=None, min_length=1, max_length=64)
    in_: Literal["arguments", "result", "both"] = Field(default="result", alias="in")
    do: Action = "mask"

    @model_validator(mode="after")
    def _finds_one_thing(self) -> "Redaction":
        if (self.find is None) == (self.pattern is None):
            raise ValueError(
                "a redaction has either `find` (a recogniser) or `pattern` (a regular expression of yours)"
            )
        return self

    @property
    def label(self) -> str:
        """What it is called in a notice: its name, its recogniser, or `pattern`."""
        return self.name or self.find or "pattern"


def _redaction(value: Any) -> Any:
    return {"find": value} if isinstance(value, str) else value


class Argument(Part):
    """One argument of a tool that its callers do not see: `value` fills it in, `hidden: true` leaves it out."""

    value: Any = None
    hidden: StrictBool = False

    @model_validator(mode="after")
    def _says_something(self) -> "Argument":
        if self.hidden == ("value" in self.model_fields_set):
            raise ValueError("an argument has either `value`, which the gateway fills in, or `hidden: true`")
        return self


class MaxResult(Part):
    """The largest result. `over: cut` shortens text with a notice, `refuse` gives the caller an error instead."""

    size: Size
    over: Literal["cut", "refuse"] = "cut"


def _max_result(value: Any) -> Any:
    if isinstance(value, int | float):
        size(value)  # which refuses it, and says what a size is
    return {"size": value} if isinstance(value, str) else value


def _condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if not isinstance(value, str):
        raise ValueError("expected a CEL expression in quotes, like 'args.repo.startsWith(\"acme/\")'")
    return Condition(value)


Redactions = tuple[
    Annotated[Redaction, BeforeValidator(_redaction), _Short({"enum": list(get_args(Recogniser))})],
    ...,
]
Largest = Annotated[MaxResult, BeforeValidator(_max_result), _Short(TypeAdapter(Size).json_schema())]
When = Annotated[
    Any,
    BeforeValidator(_condition),
    PlainSerializer(lambda condition: condition.text, return_type=str),
    WithJsonSchema({"type": "string", "maxLength": LONGEST_CONDITION, "description": "A CEL expression."}),
]
