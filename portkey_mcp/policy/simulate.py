"""Replays calls that were recorded against a draft of a policy: what it would have refused. Pure.

A record holds who called what and when, not the arguments: what depends on them, on a result, on a person, or on what a
tool says of itself, is counted apart. Limits are counted in the windows of the recorded time, calls under way by how
long they took; each starts at nothing, and a call that failed, or depends on what is not known, counts like any other.
With which of its credentials somebody came is not recorded: `each: key` counts like `each: user`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol, cast

from portkey_mcp.model import Endpoint, Principal, Role, Take, Visit, Workspace
from portkey_mcp.policy.decide import Deny, Rules, Thing
from portkey_mcp.policy.document import Policy
from portkey_mcp.policy.limits import Charge, charges_of
from portkey_mcp.policy.match import Kind
from portkey_mcp.policy.terms import Terms
from portkey_mcp.policy.wording import limit_text, thing_text

USES: Final[Mapping[str, Kind]] = {
    "tools/call": "tool",
    "prompts/get": "prompt",
    "resources/read": "resource",
}
"""The methods that use something, and what each uses; other records are passed over."""

MOST_FINDINGS: Final = 10_000
"""Different findings that are kept: names are the callers' to choose. What comes after them is counted as one."""


MOST_COUNTS: Final = 50_000
"""Counts that are kept before those whose window has ended are dropped."""


class PastCall(Protocol):
    """A recorded call, as far as it matters here. `name` is the upstream's own, `at` when it began."""

    @property
    def at(self) -> datetime: ...
    @property
    def principal(self) -> str: ...
    @property
    def principal_name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def client(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def server(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def outcome(self) -> str: ...
    @property
    def duration_ms(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """Calls of one principal to one thing that one rule would have refused.

    `rule` counts from 1, None: no rule, but the role that is missing. `also_then` of them were refused then, too.
    `first` and `last` are ISO 8601.
    """

    rule: int | None
    principal: str
    principal_name: str
    thing: str
    why: str
    refused: int
    also_then: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a draft would have done to `calls` calls. `dataclasses.asdict` makes it JSON.

    `depends`: calls of which the record alone does not tell; `depends_on` how many for which member of a rule (a call
    may depend on several). `findings` have the most refusals first.
    """

    calls: int
    refused: int
    refused_then: int
    depends: int
    depends_on: Mapping[str, int]
    first: str
    last: str
    findings: tuple[Finding, ...]


class _Place(NamedTuple):
    rule: int | None
    principal: str
    principal_name: str
    thing: str
    why: str


class _Window(NamedTuple):
    starts: int
    ends: int
    used: int


@dataclass(slots=True)
class _Refused:
    first: datetime
    last: datetime
    count: int = 0
    also_then: int = 0


def simulate(
    policy: Policy,
    workspace: Workspace,
    calls: Iterable[PastCall],
    annotations: Mapping[Thing, Mapping[str, Any]] | None = None,
) -> Simulation:
    """Replay `calls`, the oldest first. `annotations` are those of the tools that are known."""
    replay = Replay(policy, workspace, annotations)
    for call in calls:
        replay.add(call)
    return replay.outcome()


class Replay:
    """A replay under way, for calls that come one by one: what it remembers does not grow with their number."""

    def __init__(
        self, policy: Policy, workspace: Workspace, annotations: Mapping[Thing, Mapping[str, Any]] | None = None
    ) -> None:
        self._rules = Rules(policy)
        self._endpoint = Endpoint("hub", workspace)
        self._annotations = annotations or {}
        self._counts = _Counts()
        self._calls = self._refused_then = self._depends = 0
        self._depends_on: Counter[str] = Counter()
        self._found: dict[_Place, _Refused] = {}
        self._first: datetime | None = None
        self._last: datetime | None = None

    def add(self, call: PastCall) -> None:
        """Replay one call; not older than the one before."""
        kind = USES.get(call.method)
        if kind is None:
            return
        self._calls += 1
        self._refused_then += call.outcome == "refused"
        self._first, self._last = self._first or call.at, call.at
        thing, visit = Thing(kind, call.server, call.name), self._visit(call)
        decision = self._rules.decide(visit, thing)
        if isinstance(decision, Deny):
            why = "no role in this workspace" if decision.rule is None else "disabled"
            self._refuse(call, thing, decision.rule, why)
            return
        terms, annotations = decision.terms, self._annotations.get(thing)
        if terms.read_only and annotations is not None and annotations.get("readOnlyHint") is not True:
            self._refuse(call, thing, terms.said["read_only"], "not read-only")
            return
        charges = charges_of(terms, visit, thing, self._rules.policy.time_zone, call.at)
        short = self._counts.take(charges, call)
        if short is not None:
            self._refuse(call, thing, short.counted.rule, f"limit of {limit_text(short.counted.limit)}")
            return
        open_ = _open(terms, thing, annotations)
        self._depends += bool(open_)
        self._depends_on.update(open_)

    def outcome(self) -> Simulation:
        """What came out so far."""
        findings = [
            Finding(*place, found.count, found.also_then, found.first.isoformat(), found.last.isoformat())
            for place, found in self._found.items()
        ]
        return Simulation(
            calls=self._calls,
            refused=sum(finding.refused for finding in findings),
            refused_then=self._refused_then,
            depends=self._depends,
            depends_on=dict(self._depends_on),
            first=self._first.isoformat() if self._first else "",
            last=self._last.isoformat() if self._last else "",
            findings=tuple(sorted(findings, key=lambda finding: (-finding.refused, finding.first, finding.thing))),
        )

    def _visit(self, call: PastCall) -> Visit:
        roles = {self._endpoint.workspace.slug: cast(Role, call.role)} if call.role else {}
        kind: Any = call.kind
        who = Principal(call.principal, call.principal_name, kind, roles, tuple(call.groups), client=call.client)
        return Visit(who, self._endpoint, call.address)

    def _refuse(self, call: PastCall, thing: Thing, rule: int | None, why: str) -> None:
        number = None if rule is None else rule + 1
        place = _Place(number, call.principal, call.principal_name, thing_text(thing), why)
        if place not in self._found and len(self._found) >= MOST_FINDINGS:
            place = _Place(number, "", "others", "other things", why)
        found = self._found.setdefault(place, _Refused(call.at, call.at))
        found.count += 1
        found.also_then += call.outcome == "refused"
        found.last = call.at


class _Counts:
    """What the calls so far have taken of every limit."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}
        self._under_way: dict[str, list[float]] = {}

    def take(self, charges: Iterable[Charge], call: PastCall) -> Charge | None:
        """Count a call in all its limits, or in none: then the first that it would exceed is returned."""
        began = call.at.timestamp()
        for charge in charges:
            if self._used(charge.take, began) + charge.take.cost > charge.take.limit:
                return charge
        for take in (charge.take for charge in charges):
            if take.concurrent:
                self._under_way.setdefault(take.key, []).append(began + call.duration_ms / 1000)
            else:
                used = self._used(take, began) + take.cost
                self._windows[take.key] = _Window(take.starts, take.ends, used)
        if len(self._windows) > MOST_COUNTS:
            self._windows = {key: window for key, window in self._windows.items() if window.ends > began}
        return None

    def _used(self, take: Take, began: float) -> int:
        if take.concurrent:
            running = [end for end in self._under_way.get(take.key, ()) if end > began]
            if running:
                self._under_way[take.key] = running
            else:
                self._under_way.pop(take.key, None)
            return len(running)
        window = self._windows.get(take.key)
        return window.used if window is not None and window.starts == take.starts else 0


def _open(terms: Terms, thing: Thing, annotations: Mapping[str, Any] | None) -> list[str]:
    """The members of the terms that could refuse this call, of which the record does not tell."""
    is_tool = thing.kind == "tool"
    found = {
        "read_only": terms.read_only and is_tool and annotations is None,
        "max_arguments": terms.max_arguments is not None,
        "check_arguments": terms.check_arguments and is_tool,
        "when": terms.when is not None,
        "redact": any(redaction.do == "block" for redaction in terms.redact),
        "require_approval": terms.require_approval,
        "max_result": terms.max_result is not None and terms.max_result.over == "refuse",
        "hidden_text": terms.hidden_text == "refuse",
    }
    return [member for member, is_open in found.items() if is_open]
