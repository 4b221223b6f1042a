"""The variables in clients' files, and the files with environment variables beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from portkey_mcp.registry import references
from portkey_mcp.registry.literals import secret_name

VARIABLE: Final = re.compile(r"\$\{([^}]*)\}")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(:-.*)?", re.DOTALL)
LINE: Final = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*")
EDITOR_FOLDERS: Final = (".vscode", ".cursor")


class Variables:
    """Turns the variables of one server's entry into our references.

    `${VAR}` and `${VAR:-default}` are Claude Code's, `${env:VAR}`, `${userHome}` and `${workspaceFolder}` Cursor's and
    VS Code's, `${input:id}` VS Code's alone. Others are kept as text, with a note.
    """

    def __init__(self, file: Path, server: str, inputs: Mapping[str, str]) -> None:
        folder = file.absolute().parent
        self._folder = folder.parent if folder.name in EDITOR_FOLDERS else folder
        self._server = server
        self._inputs = inputs
        self.needs: dict[str, str] = {}
        self.notes: list[str] = []

    def translate(self, text: str) -> str:
        """The text with our references in it."""
        parts, done = [], 0
        for found in VARIABLE.finditer(text):
            parts += [references.literal(text[done : found.start()]), self._reference(found[0], found[1])]
            done = found.end()
        return "".join([*parts, references.literal(text[done:])])

    def plain(self, text: str) -> str:
        """A path, with folders filled in, relative to the folder of the project; other variables stay."""
        filled = VARIABLE.sub(lambda found: self._folders().get(found[1], found[0]), text)
        return str(self._folder / filled)

    def _folders(self) -> dict[str, str]:
        return {"userHome": str(Path.home()), "workspaceFolder": str(self._folder)}

    def _reference(self, whole: str, inner: str) -> str:
        kind, _, rest = inner.partition(":")
        if inner in self._folders():
            return self._folders()[inner]
        if kind == "input" and rest:
            name = secret_name(self._server, rest)
            self.needs[name] = self._inputs.get(rest, rest)
            return f"${{secret:{name}}}"
        if kind == "env" and NAME.fullmatch(rest):
            return whole
        if NAME.fullmatch(inner):
            return f"${{env:{inner}}}"
        self.notes.append(f"{whole} is not understood and kept as text")
        return references.literal(whole)


def read_env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines, with or without quotes and `export`; comments and other lines are passed over.

    Raises:
        ValueError: it cannot be read, or is too large to be one.
    """
    try:
        with path.open("rb") as file:
            data = file.read(references.LARGEST_FILE + 1)
    except OSError as error:
        raise ValueError(f"its envFile {path} cannot be read: {error.strerror}") from None
    if len(data) > references.LARGEST_FILE:
        raise ValueError(f"its envFile {path} is larger than {references.LARGEST_FILE} bytes")
    found: dict[str, str] = {}
    for line in data.decode(errors="replace").splitlines():
        if match := LINE.fullmatch(line):
            value = match[2]
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[match[1]] = references.literal(value[1:-1] if quoted else re.sub(r"\s+#.*", "", value))
    return found
