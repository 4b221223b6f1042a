"""`portkey.yaml` becomes a declaration, or a list of everything that is wrong with it."""

from pathlib import Path

import pytest

from portkey_mcp.errors import Mistakes
from portkey_mcp.model import Bundle, DeclaredKey, McpServer
from portkey_mcp.policy.document import EMPTY, parse
from portkey_mcp.registry.document import load, load_policy

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
    assert demo.policy == declared.workspaces["other"].policy == parse(RULES)
    assert declared.policies == {"demo": RULES, "other": RULES}
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
    members: [{email: ada@example.com}]
    servers:
      a: {comand: [x]}
      b: {url: "https://u:p@x/"}
      c: {command: npx, args: [x]}
      d: {url: "https://x/", auth: {type: oauth, sharing: per-user}}
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
        "f:9:5: `members` is not supported by this version; give people API keys",
        "f:11:11: unknown key 'comand'; did you mean 'command'?",
        "f:12:16: a URL with a user name or password in it is refused; send them in a header",
        "f:13:20: expected a list, found text",
        "f:13:25: unknown key 'args'; write program and arguments as one list: command: [npx, -y, some-server]",
        "f:14:30: auth type 'oauth' is not supported by this version; expected none or headers",
        "f:15:43: ${FOO} is no reference; did you mean ${env:FOO}? A literal `${` is written `$${`",
        "f:16:7: has neither url nor command; expected one of them",
        "f:17:49: auth type none has no headers; write type: headers",
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
        "rules.yaml:2:5: the key 'match' is missing",
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
