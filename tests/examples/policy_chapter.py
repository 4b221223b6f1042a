"""The README's chapter on policy, from `examples/policy/`: `python -m tests.examples.policy_chapter --write FILE`."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from portkey_mcp.model import Endpoint, Principal, Role, Visit, Workspace
from portkey_mcp.policy.decide import Deny, Rules, Thing
from portkey_mcp.policy.document import Policy
from portkey_mcp.policy.terms import FOLDED
from portkey_mcp.policy.wording import limit_text, term_text
from portkey_mcp.registry.document import load_policy

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "policy"
BEGIN, END = "<!-- policy -->", "<!-- /policy -->"


@dataclass(frozen=True)
class Example:
    """One file: its title, its words, the document as it stands there, and the lines of its table."""

    path: Path
    title: str
    words: str
    document: str
    table: list[tuple[str, str, str]]

    @property
    def policy(self) -> Policy:
        """The parsed document."""
        return load_policy(self.path)[0]


def examples() -> list[Example]:
    """All of them, in the order of their names."""
    return [_read(path) for path in sorted(FOLDER.glob("*.yaml"))]


def _read(path: Path) -> Example:
    head, document = path.read_text().split("version: 1\n", 1)
    document, _, table = document.partition("\n# | who ")
    comment = [line.removeprefix("#").removeprefix(" ") for line in head.splitlines()]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]]
    rows = [(who, asks, gets) for who, asks, gets in cells]
    return Example(path, comment[0], "\n".join(comment[2:]), f"version: 1\n{document.rstrip()}\n", rows)


def gets(policy: Policy, who: str, asks: str) -> str:
    """What a line of a table says in its last column, found out."""
    role, _, group = who.partition(" of ")
    found: Role = role  # type: ignore[assignment]
    principal = Principal("somebody", "Somebody", "person", {"team": found}, (group,) if group else ())
    visit = Visit(principal, Endpoint("hub", Workspace("team", "Team", {}, {})))
    head, _, name = asks.partition("/")
    kind, _, server = head.rpartition(":")
    decision = Rules(policy).decide(visit, Thing(kind or "tool", server, name))  # type: ignore[arg-type]
    if isinstance(decision, Deny):
        return "hidden"
    terms = decision.terms
    # In the order of the fields of a rule, limits last.
    said = [term_text(member, getattr(terms, member)) for member in FOLDED if member in terms.said]
    said += [limit_text(counted.limit) for counted in terms.limits]
    return f"allowed: {'; '.join(said)}" if said else "allowed"


def chapter() -> str:
    """The chapter in Markdown."""
    parts = []
    for example in examples():
        lines = [f"| {who} | `{asks}` | {found} |" for who, asks, found in example.table]
        table = "\n".join(["| who | asks for | gets |", "| --- | --- | --- |", *lines])
        parts.append(f"### {example.title}\n\n{example.words}\n\n```yaml\n{example.document}```\n\n{table}\n")
    return "\n".join(parts)


def write(file: Path) -> None:
    """Put the chapter between its marks."""
    before, _, rest = file.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n{chapter()}{END}{after}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True)
    write(parser.parse_args().write)
