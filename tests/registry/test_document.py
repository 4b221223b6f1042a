"""`portkey.yaml` becomes a declaration, or a list of everything that is wrong with it."""

from pathlib import Path

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.model import Bundle, DeclaredKey, DeclaredMember, McpServer
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.registry.declared import DeclaredPolicy
from portkey_mcp.registry.document import LONGEST_POLICY, load, load_policy, parse_policy

GOOD = """\
version: 1
gateway:
  public_url: https://mcp.example.com
  auth: required
  hosts: {files.example.com: demo/files}
workspaces:
  demo:
    name: Demo
    servers:
      files: {command: [npx, -y, files], env: {TOKEN: "${env:TOKEN}"}, title: Files, process: shared}
      old: {url: "https://x/sse", transport: sse, protocol: 2025-11-25}
      key: {url: "https://x", headers: {A: b}, auth: {type: headers, headers: {X: "${env:TOKEN}"}}}
    bundles:
      reading: {title: Reading, include: ["files/read_*"]}
    members: [{email: Ada@example.com, role: admin, groups: [ops], name: Ada}, {email: bob@example.com}]
    api_keys: [{name: ci, key: "${env:CI_KEY}", role: viewer}]
    policy: {rules: [{match: "*", enabled: false}]}
  other:
    policy: other.yaml
"""

RULES = {"rules": [{"match": "*", "enabled": False}]}


def lines(path: Path) -> list[str]:
    with pytest.raises(Mistakes) as wrong:
        load(path)
    return [line.replace(f"{path}", "f").replace(f"{path.parent}/", "") for line in str(wrong.value).splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "portkey.yaml"


def test_a_good_file_declares_what_it_says(file: Path) -> None:
    file.write_text(GOOD)
    policy = file.with_name("other.yaml")
    policy.write_text("rules: [{match: '*', enabled: false}]")
    named: list[Path] = []
    declared = load(file, named)
    demo = declared.workspaces["demo"]
    assert (declared.public_url, declared.auth) == ("https://mcp.example.com", "required")
    assert declared.hosts == {"files.example.com": "demo/files"}
    assert demo.name == "Demo"
    assert demo.servers == {
        "files": McpServer(
            *("demo", "files", "stdio"),
            command=("npx", "-y", "files"),
            env={"TOKEN": "${env:TOKEN}"},
            title="Files",
            process="shared",
        ),
        "old": McpServer("demo", "old", "sse", "https://x/sse", protocol="2025-11-25"),
        "key": McpServer("demo", "key", "http", "https://x", headers={"A": "b", "X": "${env:TOKEN}"}),
    }
    assert demo.bundles == {"reading": Bundle("demo", "reading", "Reading", ("files/read_*",))}
    assert declared.api_keys == (DeclaredKey("demo", "ci", "${env:CI_KEY}", "viewer"),)
    assert declared.members == (
        DeclaredMember("demo", "Ada@example.com", "admin", ("ops",), "Ada"),
        DeclaredMember("demo", "bob@example.com"),
    )
    assert demo.policy == declared.workspaces["other"].policy == parse(RULES)
    assert declared.policies == {
        "demo": DeclaredPolicy("rules:\n- match: '*'\n  enabled: false\n", RULES, "portkey.yaml"),
        "other": DeclaredPolicy("rules: [{match: '*', enabled: false}]", RULES, "other.yaml"),
    }
    assert declared.files == tuple(named) == (file, policy)


def test_the_smallest_file_declares_nothing(file: Path) -> None:
    file.write_text("version: 1\nworkspaces: {demo: {}}")
    declared = load(file)
    assert declared.workspaces["demo"].name == "demo"
    assert declared.workspaces["demo"].policy is EMPTY
    assert declared.policies == {}


def test_everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_file(file: Path) -> None:
    file.write_text("""\
version: 2
gatewy: {}
gateway:
  public_url: ftp://x
  auth: nome
  hosts: {"A.B": /x}
workspaces:
  demo:
    members: [{email: ada@example.com, rol: admin}]
    servers:
      a: {comand: [x]}
      b: {url: "https://u:p@x/"}
      c: {command: npx, args: [x]}
      d: {url: "https://x/", auth: {type: oauth, audience: x}}
      e: {url: "https://x/", headers: {A: "${FOO}"}}
      f: {}
      g: {url: "https://x/", auth: {type: none, headers: {X: y}}}
      h: {url: "https://x/", auth: {type: headers}}
      i: {url: "https://x/", headers: {x: y}, auth: {type: headers, headers: {X: "${env:A"}}}
    bundles:
      b: {include: [x]}
    api_keys: [{name: a, key: b, rol: member}]
    policy:
      rules: [{match: "*", enable: true}]
  api: {}
  other:
    api_keys: [{name: a, key: "${KEY}"}, {name: a, key: b}]
    policy: missing.yaml
""")
    assert lines(file) == [
        "f:1:10: expected 1",
        "f:2:1: unknown key 'gatewy'; did you mean 'gateway'?",
        "f:4:15: 'ftp://x' is no http(s) URL; expected an origin like https://mcp.example.com",
        "f:5:9: expected 'required' or 'none'; did you mean 'none'?",
        "f:6:11: 'A.B' is no host name; expected one in lower case, without port and path",
        "f:6:11: '/x' is no endpoint; expected `workspace` or `workspace/server`",
        "f:9:40: unknown key 'rol'; did you mean 'role'?",
        "f:11:11: unknown key 'comand'; did you mean 'command'?",
        "f:12:16: a URL with a user name or password in it is refused; send them in a header",
        "f:13:20: expected a list, found text",
        "f:13:25: unknown key 'args'; write program and arguments as one list: command: [npx, -y, some-server]",
        "f:14:50: auth type oauth has no audience",
        "f:15:43: ${FOO} is no reference; did you mean ${env:FOO}? A literal `${` is written `$${`",
        "f:16:7: has neither url nor command; expected one of them",
        "f:17:49: auth type none has no headers",
        "f:18:36: auth type headers needs headers, like {X-Api-Key: '${env:KEY}'}",
        "f:19:78: the header x is in headers too; write it once",
        "f:19:82: '${env:A' is not closed; expected `}`, or `$${` for a literal `${`",
        "f:21:7: a server is called 'b' too; choose another name",
        "f:21:21: 'x' is no `server/name`, like files/read_*",
        "f:22:34: unknown key 'rol'; did you mean 'role'?",
        "f:24:28: unknown key 'enable'; did you mean 'enabled'?",
        "f:25:3: 'api' cannot be a workspace: the gateway uses that path itself",
        "f:27:31: ${KEY} is no reference; did you mean ${env:KEY}? A literal `${` is written `$${`",
        "f:27:49: another API key of this workspace is called 'a'",
        "f:28:13: there is no file missing.yaml",
    ]


def test_what_is_wrong_in_a_policy_file_is_placed_in_that_file(file: Path) -> None:
    file.write_text("version: 1\nworkspaces: {demo: {policy: rules.yaml}, api: {}}")
    file.with_name("rules.yaml").write_text("rules:\n  - mach: '*'")
    assert lines(file) == [
        "f:2:42: 'api' cannot be a workspace: the gateway uses that path itself",
        "rules.yaml:2:5: unknown key 'mach'; did you mean 'match'?",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "f:1:1: the file is empty; expected at least `version: 1`"),
        ("- x", "f:1:1: expected keys and values, found a list"),
        ("workspaces: {}", "f:1:1: the key 'version' is missing"),
        ("version: 1\nversion: 1", "f:2:1: the key 'version' is there twice"),
        ("version: 1\nworkspaces: []", "f:2:13: expected keys and values, found a list"),
    ],
)
def test_a_file_without_its_shape(file: Path, text: str, expected: str) -> None:
    file.write_text(text)
    assert lines(file) == [expected]


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    assert lines(file) == ["f: cannot be read: No such file or directory"]
    file.write_bytes(b"a: \xff")
    assert lines(file) == ["f: is not UTF-8 text (byte 3)"]


def test_a_policy_can_be_read_alone(file: Path) -> None:
    file.write_text("rules: [{match: '*', enabled: false}]")
    assert load_policy(file) == (parse(RULES), RULES)


RULE = 'rules:\n  - match: "a/b"\n    '


@pytest.mark.parametrize(
    ("member", "said"),
    [
        ("enabeld: true", "3:5: unknown key 'enabeld'; did you mean 'enabled'?"),
        ("enabled: yess", "3:14: expected true or false, found text"),
        ("enabled: 1", "3:14: expected true or false, found a number"),
        ("timeout: 60", "3:14: expected a duration like 500ms, 60s, 5m, 2h or 1d"),
        ("timeout: 60 sec", "3:14: expected a duration like 500ms, 60s, 5m, 2h or 1d"),
        ("timeout: 0s", "3:14: a duration must be longer than nothing"),
        ("max_result: 150", "3:17: expected a size like 500B, 150KB, 64KiB or 2MB"),
        ("max_result: 150 kilo", "3:17: expected a size like 500B, 150KB, 64KiB or 2MB"),
        ("max_result: {size: 1KB, ove: cut}", "3:29: unknown key 'ove'; did you mean 'over'?"),
        ("max_result: {size: 1KB, over: cutt}", "3:35: expected 'cut' or 'refuse'; did you mean 'cut'?"),
        ("max_result: {over: cut}", "3:5: the key 'size' is missing"),
        ("max_result: [1]", "3:17: expected keys and values, found a list"),
        ("max_arguments: 1GB", "3:20: expected a size like 500B, 150KB, 64KiB or 2MB"),
        ("limits: {calls: 1}", "3:13: expected a list, found keys and values"),
        ("limits: [3]", "3:14: expected keys and values, found a number"),
        ("limits: [{calls: 1}]", "3:14: `calls` needs `per`: minute, hour, day, week or month"),
        ("limits: [{calls: 1, cost: 2, per: day}]", "3:14: a limit has exactly one of calls, cost and concurrent"),
        ("limits: [{concurrent: 2, per: day}]", "3:14: `concurrent` counts calls at the same time and has no `per`"),
        ("limits: [{}]", "3:14: a limit has exactly one of calls, cost and concurrent"),
        ("limits: [{calls: -1, per: day}]", "3:22: expected at least 0"),
        ("limits: [{calls: '1', per: day}]", "3:22: expected a whole number, found text"),
        ("limits: [{calls: 1.5, per: day}]", "3:22: expected a whole number, found a number"),
        (
            "limits: [{calls: 1, per: dya}]",
            "3:30: expected 'minute', 'hour', 'day', 'week' or 'month'; did you mean 'day'?",
        ),
        (
            "limits: [{calls: 1, per: day, each: usr}]",
            "3:41: expected 'user', 'key', 'tool', 'server', 'workspace' or 'all'; did you mean 'user'?",
        ),
        (
            "limits: [{calls: 1, per: day, each: [user, tol]}]",
            "3:48: expected 'user', 'key', 'tool', 'server', 'workspace' or 'all'; did you mean 'tool'?",
        ),
        ("limits: [{calls: 1, per: day, each: []}]", "3:41: names nobody; give at least one, or leave it out"),
        ("limits: [{calls: 1, per: day, each: 3}]", "3:41: expected a list, found a number"),
        ("limits: [{cals: 1, per: day}]", "3:15: unknown key 'cals'; did you mean 'calls'?"),
        ("limits: [{calls: 99999999999999, per: day}]", "3:22: expected at most 1000000000000"),
        (
            "when: args.repo ==",
            "3:11: is no CEL expression: syntax error: mismatched input '<eof>', at character 13 of it",
        ),
        ("when: arg.repo == 1", "3:11: unknown variable 'arg'; did you mean 'args'?"),
        ("when: true", "3:11: expected a CEL expression in quotes, like 'args.repo.startsWith(\"acme/\")'"),
        ("when: [a]", "3:11: expected a CEL expression in quotes, like 'args.repo.startsWith(\"acme/\")'"),
        ("redact: email", "3:13: expected a list, found text"),
        (
            "redact: [emial]",
            "3:14: expected 'secrets', 'jwt', 'pem', 'email', 'card', 'iban' or 'phone'; did you mean 'email'?",
        ),
        (
            "redact: [{find: emial}]",
            "3:21: expected 'secrets', 'jwt', 'pem', 'email', 'card', 'iban' or 'phone'; did you mean 'email'?",
        ),
        (
            "redact: [{find: email, pattern: x}]",
            "3:14: a redaction has either `find` (a recogniser) or `pattern` (a regular expression of yours)",
        ),
        ("redact: [{pattern: '('}]", "3:24: is no RE2 expression: missing ): ("),
        ("redact: [{pattern: 'x', do: msk}]", "3:33: expected 'mask', 'block' or 'log'; did you mean 'mask'?"),
        (
            "redact: [{pattern: 'x', in: reslt}]",
            "3:33: expected 'arguments', 'result' or 'both'; did you mean 'result'?",
        ),
        ("redact: [{pattern: 'x', nme: y}]", "3:29: unknown key 'nme'; did you mean 'name'?"),
        ("redact: [3]", "3:14: expected keys and values, found a number"),
        ("redact: [{pattern: '(?=x)'}]", "3:24: is no RE2 expression: invalid perl operator: (?="),
        ("redact: [{pattern: 'x', name: ''}]", "3:35: expected 1 or more characters"),
        ("for: {roles: [membr]}", "3:19: expected 'owner', 'admin', 'member' or 'viewer'; did you mean 'member'?"),
        ("for: {roles: member}", "3:18: expected a list, found text"),
        ("for: {roles: []}", "3:18: names nobody; give at least one, or leave it out"),
        ("for: {rols: [member]}", "3:11: unknown key 'rols'; did you mean 'roles'?"),
        ("for: {networks: [10.0.0.1/8]}", "3:22: 10.0.0.1/8 has host bits set"),
        ("for: {networks: [abc]}", "3:22: expected a network like 10.0.0.0/8, 192.168.1.7 or fd00::/8"),
        ("for: {networks: [3]}", "3:22: expected a network like 10.0.0.0/8, 192.168.1.7 or fd00::/8"),
        ("for: {people: [3]}", "3:20: expected text, found a number; put it in quotes"),
        ("for: viewer", "3:10: expected keys and values, found text"),
        ("rename: 'a b'", "3:13: expected text that fits ^[A-Za-z0-9_.-]{1,128}$"),
        ("describe: ''", "3:15: expected 1 or more characters"),
        ("arguments: [x]", "3:16: expected keys and values, found a list"),
        ("arguments: {x: 3}", "3:20: expected keys and values, found a number"),
        ("arguments: {x: {}}", "3:20: an argument has either `value`, which the gateway fills in, or `hidden: true`"),
        (
            "arguments: {x: {value: 1, hidden: true}}",
            "3:20: an argument has either `value`, which the gateway fills in, or `hidden: true`",
        ),
        ("arguments: {x: {valu: 1}}", "3:21: unknown key 'valu'; did you mean 'value'?"),
        ("arguments: {x: {hidden: 'yes'}}", "3:29: expected true or false, found text"),
        ("arguments: {1: {hidden: true}}", "3:17: expected text as a key; put it in quotes: '1'"),
        ("cost: -1", "3:11: expected at least 0"),
        ("cost: x", "3:11: expected a whole number, found text"),
        ("hidden_text: remov", "3:18: expected 'keep', 'remove' or 'refuse'; did you mean 'remove'?"),
        ("require_approval: always", "3:23: expected true or false, found text"),
        (
            "limits:\n      - calls: 5\n        per: day\n      - concurrent: 0.5\n",
            "6:21: expected a whole number, found a number",
        ),
    ],
)
def test_each_mistake_in_a_rule_is_one_line_at_its_place(member: str, said: str) -> None:
    assert policy_lines(RULE + member) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules:\n  -", "2:4: expected keys and values, found nothing"),
        ("", "1:1: the document is empty; expected at least `version: 1`"),
        ("[]", "1:1: expected keys and values, found a list"),
        ("rules: 3", "1:8: expected a list, found a number"),
        ("rules:", "1:7: expected a list, found nothing"),
        ("version: 2", "1:10: expected 1"),
        ("versoin: 1", "1:1: unknown key 'versoin'; did you mean 'version'?"),
        (
            "time_zone: Berlin",
            "1:12: 'Berlin' is no time zone; expected one like UTC, Europe/Berlin or America/New_York",
        ),
        ("time_zone: 3", "1:12: expected text, found a number; put it in quotes"),
        ("on_store_error: alow", "1:17: expected 'deny' or 'allow'; did you mean 'allow'?"),
        ("rules: [x]", "1:9: expected keys and values, found text"),
        ("rules:\n  - enabled: true", "2:5: the key 'match' is missing"),
        ("rules:\n  - match: 3", "2:12: must be a pattern like server/tool, or a list of at least one"),
        ("rules:\n  - match: []", "2:12: must be a pattern like server/tool, or a list of at least one"),
        ("rules:\n  - match: [a/b, 3]", "2:18: must be a pattern like server/tool"),
        (
            "rules:\n  - match: [a/b, c]",
            "2:18: 'c' names a server at most; write server/tool, or server/* for all its tools",
        ),
        (
            "rules:\n  - match: 'tol:a/b'",
            "2:12: 'tol:a/b' begins with no kind; the kinds are tool:, prompt:, resource: and template:",
        ),
        ("rules:\n  - mach: a/b", "2:5: unknown key 'mach'; did you mean 'match'?"),
        (
            'rules:\n  - match: "a/*"\n    rename: x',
            "2:5: `rename` needs a `match` of exactly one tool, like linear/delete_issue",
        ),
        (
            "rules:\n  - match: 'prompt:a/b'\n    read_only: true",
            "2:5: `read_only` is about tools, and this `match` names none",
        ),
        ("servers: []", "1:10: expected keys and values, found a list"),
        ("servers: {a: 3}", "1:14: expected keys and values, found a number"),
        ("servers: {a: {new_tools: revew}}", "1:26: expected 'allow' or 'review'; did you mean 'review'?"),
        ("servers: {a: {pin: 1}}", "1:20: expected true or false, found a number"),
        ("servers: {a: {pinn: true}}", "1:15: unknown key 'pinn'; did you mean 'pin'?"),
        ("servers: {1: {}}", "1:11: expected text as a key; put it in quotes: '1'"),
        ("servers: {a: &x [*x]}", "1:14: expected keys and values, found a list"),
    ],
)
def test_each_mistake_in_a_policy_is_one_line_at_its_place(text: str, said: str) -> None:
    assert policy_lines(text) == said


def policy_lines(text: str) -> str:
    with pytest.raises(Mistakes) as wrong:
        parse_policy(text, "f")
    return str(wrong.value).replace("f:", "").lstrip()


def test_a_policy_has_a_size() -> None:
    assert policy_lines("#" * (LONGEST_POLICY + 1)) == "has 1000001 characters; a policy has at most 1000000"


def test_an_inline_policy_leaves_no_key_open(file: Path) -> None:
    file.write_text("version: 1\nworkspaces: {demo: {policy: {rules: [{match: '*', enabled: }]}}}")
    assert lines(file) == ["f:2:60: the key 'enabled' has no value; give it one, or leave the key out"]


def test_a_text_keeps_the_line_breaks_it_has(file: Path) -> None:
    file.write_bytes(b"version: 1\r\nworkspaces: {demo: {policy: rules.yaml}}\r\n")
    file.with_name("rules.yaml").write_bytes(b"rules: []\r\n")
    assert load(file).policies["demo"].text == "rules: []\r\n"


def test_what_is_wrong_with_members_is_said_where_it_stands(file: Path) -> None:
    file.write_text("""\
version: 1
workspaces:
  demo:
    members:
      - {email: ada}
      - {email: bob@example.com, name: Bob}
      - {email: BOB@example.com, groups: [ops, " "]}
      - {email: eve@example.com, role: king}
      - {role: admin}
  other:
    members:
      - {email: bob@example.com, name: Robert, groups: ops}
      - {email: bob@example.com, name: Robert}
""")
    assert lines(file) == [
        "f:8:40: expected 'owner', 'admin', 'member' or 'viewer'",
        "f:9:9: the key 'email' is missing",
        "f:12:56: expected a list, found text",
    ]
    text = file.read_text().replace("king", "admin").replace("{role: admin}", "{email: x@y.z}")
    file.write_text(text.replace(", groups: ops", ""))
    assert lines(file) == [
        "f:5:17: 'ada' is no e-mail address; expected one like ada@example.com",
        "f:7:17: BOB@example.com is a member of this workspace already; write them once",
        "f:7:48: ' ' is no name of a group; expected 1 to 100 characters on one line, without spaces around",
        "f:12:40: bob@example.com is called 'Bob' in another place of this file",
        "f:13:17: bob@example.com is a member of this workspace already; write them once",
        "f:13:40: bob@example.com is called 'Bob' in another place of this file",
    ]
