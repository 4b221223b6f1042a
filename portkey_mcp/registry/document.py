"""`portkey.yaml`: reads it, checks it, and reports every mistake with its line and column."""

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from portkey_mcp.errors import Mistake, Mistakes
from portkey_mcp.model import (
    Access,
    Bundle,
    DeclaredKey,
    DeclaredMember,
    McpServer,
    Workspace,
    email_problem,
    folded_email,
    label_problem,
)
from portkey_mcp.policy import document as policy
from portkey_mcp.registry import references
from portkey_mcp.registry.checks import bundle_problems, host_problems, server_problems
from portkey_mcp.registry.declared import Declared, DeclaredPolicy
from portkey_mcp.registry.names import Problem, slug_problem
from portkey_mcp.registry.proving import auth_of, auth_problems
from portkey_mcp.registry.schema import (
    HINTS,
    AccessPart,
    BundlePart,
    Document,
    GatewayPart,
    KeyPart,
    MemberPart,
    ServerPart,
    WorkspacePart,
)
from portkey_mcp.registry.source import Loc, Source
from portkey_mcp.registry.trusting import (
    egress_problems,
    issuer_problems,
    oauth_problems,
    sign_in_problems,
    trust_of,
)
from portkey_mcp.registry.values import value_problems
from portkey_mcp.registry.wording import mistakes, unknown
from portkey_mcp.settings import origin_problem

LONGEST_POLICY: Final = 1_000_000
"""Characters of a policy document: some 10,000 rules, read in a few seconds."""


def load(path: Path, named: list[Path] | None = None) -> Declared:
    """Read a file, and the policy files it names. Blocks; references are checked, but not resolved.

    `named` receives the path of every file that belongs to it, also when it fails.

    Raises:
        Mistakes: all that is wrong in it.
    """
    return _Reading(path, [] if named is None else named).declared()


def load_policy(path: Path) -> tuple[policy.Policy, Any]:
    """Read a policy document from a file: parsed, and the data that it says.

    Raises:
        Mistakes: all that is wrong in it.
    """
    return parse_policy(text_of(path), str(path))


def parse_policy(text: str, file: str) -> tuple[policy.Policy, Any]:
    """Read a policy document: parsed, and the data that it says, which is JSON. `file` is what mistakes call it.

    Stricter than `policy.parse`: a key without a value is a mistake, since a rule whose `enabled:` or `for:` was left
    open would hold for nobody or for everybody.

    Raises:
        Mistakes: all that is wrong in it, in its order.
    """
    if len(text) > LONGEST_POLICY:
        raise Mistakes([Mistake(f"has {len(text)} characters; a policy has at most {LONGEST_POLICY}", file=file)])
    source = Source(text, file)
    if source.data is None:
        raise Mistakes([source.mistake((), "the document is empty; expected at least `version: 1`")])
    wrong = [source.mistake(loc, what) for loc, what in value_problems(source.data)]
    try:
        parsed = policy.parse(source.data)
    except ValidationError as error:
        told = mistakes(error, source, policy.Policy)
        places = {(one.line, one.column) for one in told}
        wrong = told + [one for one in wrong if (one.line, one.column) not in places]
    if wrong:
        raise Mistakes(sorted(wrong, key=lambda one: (one.line, one.column)))
    return parsed, source.data


def schema() -> dict[str, Any]:
    """The JSON Schema of `portkey.yaml`, for editors."""
    found = Document.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found, "title": "portkey.yaml"}


class _Reading:
    """One file being read: collects mistakes, so that a person sees all of them at once."""

    def __init__(self, path: Path, named: list[Path]) -> None:
        self._path = path
        self._files = named
        self._files.append(path)
        self._source = Source(text_of(path), str(path))
        self._wrong: list[Mistake] = []
        self._policies: dict[str, DeclaredPolicy] = {}
        self._names: dict[str, str] = {}
        self._providers: list[str] = []

    def declared(self) -> Declared:
        document = self._document()
        gateway = document.gateway
        if problem := origin_problem(gateway.public_url or ""):
            self._add(("gateway", "public_url"), problem)
        for kind, hosts in (("hosts", gateway.hosts), ("key_hosts", gateway.key_hosts)):
            for host, path in hosts.items():
                self._add_all(("gateway", kind, host), host_problems(host, path))
        for host in gateway.hosts.keys() & gateway.key_hosts.keys():
            self._add(("gateway", "key_hosts", host), f"{host} is in hosts, too; write it once", key=True)
        self._trust(gateway, document.workspaces)
        self._providers = [provider.id for provider in gateway.sign_in.providers]
        workspaces = {slug: self._workspace(slug, part) for slug, part in document.workspaces.items()}
        keys = tuple(
            key for slug, part in document.workspaces.items() for key in self._keys(slug, part.api_keys, part.servers)
        )
        members = tuple(one for slug, part in document.workspaces.items() for one in self._members(slug, part.members))
        if self._wrong:
            raise Mistakes(sorted(self._wrong, key=lambda m: (m.file != str(self._path), m.file, m.line, m.column)))
        return Declared(
            public_url=gateway.public_url,
            auth=gateway.auth,
            hosts=gateway.hosts,
            key_hosts=gateway.key_hosts,
            trust=trust_of(gateway.sign_in, gateway.oauth, gateway.issuers, gateway.egress),
            workspaces=workspaces,
            policies=self._policies,
            api_keys=keys,
            members=members,
            files=tuple(self._files),
        )

    def _document(self) -> Document:
        """The document in its shape; what has none is reported and left out, so that the rest is still checked."""
        data = self._source.data
        if data is None:
            raise Mistakes([self._source.mistake((), "the file is empty; expected at least `version: 1`")])
        try:
            return Document.model_validate(data)
        except ValidationError as error:
            self._wrong = mistakes(error, self._source, Document, HINTS)
            rest = _without(data, [wrong["loc"] for wrong in error.errors(include_url=False, include_input=False)])
        try:
            return Document.model_validate(rest)
        except ValidationError:
            raise Mistakes(self._wrong) from None

    def _trust(self, gateway: GatewayPart, workspaces: Collection[str]) -> None:
        self._add_all(("gateway", "sign_in"), sign_in_problems(gateway.sign_in, workspaces))
        self._add_all(("gateway", "oauth"), oauth_problems(gateway.oauth))
        self._add_all(("gateway", "issuers"), issuer_problems(gateway.issuers, workspaces))
        self._add_all(("gateway", "egress"), egress_problems(gateway.egress))

    def _workspace(self, slug: str, part: WorkspacePart) -> Workspace:
        loc = ("workspaces", slug)
        if problem := slug_problem(slug):
            self._add(loc, problem, key=True)
        servers = {name: self._server(slug, name, server) for name, server in part.servers.items()}
        bundles = {name: self._bundle(slug, name, bundle) for name, bundle in part.bundles.items()}
        for name in servers.keys() & bundles.keys():
            self._add((*loc, "bundles", name), f"a server is called {name!r} too; choose another name", key=True)
        rules = self._policy(slug, part.policy)
        return Workspace(slug, part.name or slug, servers, bundles, rules)

    def _server(self, slug: str, name: str, part: ServerPart) -> McpServer:
        loc = ("workspaces", slug, "servers", name)
        server, auth = server_of(slug, name, part), part.auth.headers if part.auth else {}
        if part.auth:
            for field, problem in auth_problems(part.auth):
                self._add((*loc, "auth", *field), problem, key=len(field) == 1)
            if part.auth.provider and part.auth.provider not in self._providers:
                self._add((*loc, "auth", "provider"), unknown("provider", part.auth.provider, self._providers))
        for header in {known.lower() for known in part.headers} & {known.lower() for known in auth}:
            self._add((*loc, "auth", "headers"), f"the header {header} is in headers too; write it once")
        for field, problem in server_problems(server):
            in_auth = field[:1] == ("headers",) and field[-1] in auth
            self._add((*loc, "auth", *field) if in_auth else (*loc, *field), problem, key=not field)
        return server

    def _bundle(self, slug: str, name: str, part: BundlePart) -> Bundle:
        bundle = Bundle(slug, name, part.title, part.include)
        self._add_all(("workspaces", slug, "bundles", name), bundle_problems(bundle))
        return bundle

    def _keys(self, slug: str, parts: Iterable[KeyPart], servers: Collection[str]) -> Iterable[DeclaredKey]:
        seen: set[str] = set()
        for index, part in enumerate(parts):
            loc = ("workspaces", slug, "api_keys", index)
            if part.name in seen:
                self._add((*loc, "name"), f"another API key of this workspace is called {part.name!r}")
            if problem := references.problem(part.key):
                self._add((*loc, "key"), problem)
            self._add_all(loc, _key_problems(part, servers))
            seen.add(part.name)
            yield DeclaredKey(slug, part.name, part.key, part.role, part.scopes, part.server, _moment(part.expires))

    def _members(self, slug: str, parts: Iterable[MemberPart]) -> Iterable[DeclaredMember]:
        seen: set[str] = set()
        for index, part in enumerate(parts):
            loc, folded = ("workspaces", slug, "members", index), folded_email(part.email)
            member = DeclaredMember(slug, part.email, part.role, part.groups, part.name)
            self._add_all(loc, _member_problems(member))
            if folded in seen:
                self._add((*loc, "email"), f"{part.email} is a member of this workspace already; write them once")
            if part.name and (called := self._names.setdefault(folded, part.name)) != part.name:
                self._add((*loc, "name"), f"{part.email} is called {called!r} in another place of this file")
            seen.add(folded)
            yield member

    def _policy(self, slug: str, given: str | policy.Policy | None) -> policy.Policy:
        loc = ("workspaces", slug, "policy")
        if isinstance(given, str):
            path = self._path.parent / given
            self._files.append(path)
            try:
                text = text_of(path)
                parsed, data = parse_policy(text, str(path))
                self._policies[slug] = DeclaredPolicy(text, data, given)
                return parsed
            except Mistakes as wrong:
                missing = not path.exists()
                self._wrong += [self._source.mistake(loc, f"there is no file {path}")] if missing else wrong.mistakes
                return policy.EMPTY
        if given is not None:
            data = self._source.data["workspaces"][slug]["policy"]
            problems = [((*loc, *inner), what) for inner, what in value_problems(data)]
            for inner, what in problems:
                self._add(inner, what)
            if not problems:
                self._policies[slug] = DeclaredPolicy(_dumped(data), data, self._path.name)
        return given or policy.EMPTY

    def _add(self, loc: Loc, what: str, *, key: bool = False) -> None:
        self._wrong.append(self._source.mistake(loc, what, key=key))

    def _add_all(self, loc: Loc, problems: Iterable[tuple[Loc, str]]) -> None:
        for field, problem in problems:
            self._add((*loc, *field), problem, key=not field)


def server_of(workspace: str, name: str, part: ServerPart) -> McpServer:
    """The server that a part declares; nothing is checked."""
    auth = auth_of(part.auth)
    return McpServer(
        workspace=workspace,
        name=name,
        transport=part.transport or ("http" if part.url else "stdio"),
        url=part.url,
        command=part.command,
        env=part.env,
        cwd=part.cwd,
        headers={**part.headers, **(part.auth.headers if part.auth and auth is None else {})},
        protocol=part.protocol,
        process=part.process,
        title=part.title,
        enabled=part.enabled,
        access=_access(part.access),
        auth=auth,
        forward={name.lower(): there or name for name, there in part.forward_headers.items()},
    )


def _access(part: AccessPart | None) -> Access | None:
    return None if part is None else Access(tuple(map(folded_email, part.people)), part.groups)


def _key_problems(part: KeyPart, servers: Collection[str]) -> Iterator[Problem]:
    if part.scopes == ():
        yield ("scopes",), "scopes names none, so the key would allow nothing; leave it out, or name some"
    if part.server and part.server not in servers:
        yield ("server",), unknown("server", part.server, servers)
    if part.expires and _moment(part.expires) is None:
        yield ("expires",), f"{part.expires!r} is no date or moment; expected one like 2027-01-31 or 2027-01-31T18:00Z"


def _moment(text: str) -> datetime | None:
    """The moment that a text names, in UTC where it does not say; None for one that names none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _member_problems(member: DeclaredMember) -> Iterator[Problem]:
    if problem := email_problem(member.email):
        yield ("email",), problem
    if member.name and (problem := label_problem(member.name, "name of a person")):
        yield ("name",), problem
    for index, group in enumerate(member.groups):
        if problem := label_problem(group, "name of a group"):
            yield ("groups", index), problem


def _without(data: Any, locs: Iterable[Loc]) -> Any:
    """The document without the parts that have errors: a whole server, bundle, list of keys, policy or setting each."""
    rest = copy.deepcopy(data)
    if not isinstance(rest, dict):
        return rest
    for loc in locs:
        within = loc[2] if len(loc) > 2 and loc[0] == "workspaces" else ""
        *way, last = loc[: {"servers": 4, "bundles": 4, "": 2}.get(str(within), 3)] or [""]
        inner: Any = rest
        for step in way:
            inner = inner.get(step) if isinstance(inner, Mapping) else None
        if isinstance(inner, dict):
            inner.pop(last, None)
    rest["version"] = 1
    return rest


def _dumped(data: Any) -> str:
    """A policy that stands in portkey.yaml itself, as a document of its own."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)


class _Plain(yaml.SafeDumper):
    """Without anchors and aliases, which nobody wrote."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def text_of(path: Path) -> str:
    """A file's text as it is written, its line breaks included.

    Raises:
        Mistakes: it cannot be read, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as error:
        raise Mistakes([Mistake(f"cannot be read: {error.strerror}", file=str(path))]) from None
    except UnicodeDecodeError as error:
        raise Mistakes([Mistake(f"is not UTF-8 text (byte {error.start})", file=str(path))]) from None
