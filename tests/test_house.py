"""The house rules, executed. Each test lists every offender, so that one run tells all there is to mend."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent

MOST_LINES = 400
"""A file that is longer holds something that wants a file of its own."""

MOST_FUNCTION_LINES = 60

JOURNEYS = {"stories", "conformance", "examples"}
"""Folders of tests that stand for no room: whole journeys through all of them."""

OF_THE_REPOSITORY = {"tests/test_house.py", "tests/test_readme.py"}

REGISTRIES = ["pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "deb.debian" + ".org", "yarnpkg" + ".com"]
"""A file that names one installs from there only; no mirror could take its place."""

MACHINE_PATH = re.compile(r"(?<![\w.{}/-])/(?:work|root|tmp/conf)/\w")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files() -> Iterator[Path]:
    """Every file of the repository, relative to its root: all but what .gitignore names."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.endswith("/")}
    for folder, folders, found in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in {*ignored, ".git"})
        for name in sorted(found):
            if not name.endswith(".pyc"):
                yield (Path(folder) / name).relative_to(ROOT)


def python_files() -> list[Path]:
    return [path for path in files() if path.suffix == ".py"]


def functions() -> Iterator[tuple[str, Function]]:
    for path in python_files():
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, Function):
                yield f"{path}:{node.lineno} {node.name}", node


def listed(offenders: list[str]) -> str:
    return "\n" + "\n".join(offenders)


def has_own_test(path: Path) -> bool:
    return path.parts[0] == "portkey_mcp" and not path.name.startswith("__") and "migrations" not in path.parts


def test_every_module_has_its_test_file() -> None:
    modules = [path for path in python_files() if has_own_test(path)]
    tests = {path: Path("tests", *path.parts[1:-1], f"test_{path.name}") for path in modules}
    untested = [f"{path} wants {test}" for path, test in tests.items() if not (ROOT / test).exists()]

    assert not untested, listed(untested)


def test_every_test_file_has_its_module() -> None:
    def may_test(test: Path) -> list[Path]:
        room, name = Path(*test.parts[1:-1]), test.name.removeprefix("test_")
        modules = [Path("portkey_mcp", room, name), Path(room, name)]
        return [*modules, Path("portkey_mcp", room, "__init__.py")] if name == f"{room.name}.py" else modules

    tests = [path for path in python_files() if path.parts[0] == "tests" and path.name.startswith("test_")]
    tests = [path for path in tests if str(path) not in OF_THE_REPOSITORY and path.parts[1] not in JOURNEYS]
    orphans = [str(test) for test in tests if not any((ROOT / module).is_file() for module in may_test(test))]

    assert not orphans, listed(orphans)


def test_no_file_is_longer_than_it_may_be() -> None:
    lengths = {path: len((ROOT / path).read_text().splitlines()) for path in python_files()}
    long = [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > MOST_LINES]

    assert not long, listed(long)


def test_no_function_is_longer_than_it_may_be() -> None:
    # A migration lists the columns of its day; it is written once and never read as a story.
    ours = [(where, node) for where, node in functions() if "/migrations/" not in where]
    lengths = {where: (node.end_lineno or 0) - node.lineno + 1 for where, node in ours}
    long = [f"{where}: {lines} lines" for where, lines in lengths.items() if lines > MOST_FUNCTION_LINES]

    assert not long, listed(long)


def test_no_function_imports() -> None:
    importing = [
        where for where, node in functions() if any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(node))
    ]

    assert not importing, listed(importing)


def test_no_file_names_this_machine_or_a_package_registry() -> None:
    offenders = []
    for path in files():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        offenders += [f"{path}: {host}" for host in REGISTRIES if host in text]
        offenders += [f"{path}: {found.group()}" for found in MACHINE_PATH.finditer(text)]

    assert not offenders, listed(offenders)


def test_every_example_is_run_by_a_test() -> None:
    examples = sorted(path.name for path in (ROOT / "examples").iterdir() if path.is_dir() and path.name[0] not in "._")
    tests = {example: ROOT / "tests" / "examples" / f"test_{example}.py" for example in examples}

    assert examples
    assert [example for example, test in tests.items() if not test.exists()] == []


def test_make_test_runs_every_check() -> None:
    recipe = (ROOT / "Makefile").read_text().split("\ntest:")[1].split("\n\n")[0]
    checks = ["ruff format --check .", "ruff check .", "mypy", "lint-imports", "pytest"]

    assert [check for check in checks if f"/{check}" not in recipe] == []


def test_a_missing_program_is_named_and_is_a_failure_where_it_was_promised(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("import pytest\n@pytest.mark.outside('absent')\ndef test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "tests.conftest", tmp_path]
    for promised, outcome in ("0", "1 skipped"), ("1", "1 error"):
        env = {**os.environ, "PORTKEY_MCP_REQUIRE_TOOLS": promised}
        ran = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
        assert outcome in ran.stdout
        assert "absent not found; `make tools` installs it" in ran.stdout


def test_the_constraints_pin_everything_with_hashes() -> None:
    for name in ("constraints.txt", "constraints-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert [line for line in lines if not re.match(r"#|[a-z0-9-]+==\S+.*\\$|    --hash=sha256:", line)] == []
