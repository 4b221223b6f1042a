"""Programs are started, waited for, watched and ended."""

import os
import signal
import subprocess

import pytest

from benchmarks.processes import free_port, on_core, pinned, python, running, usage


def test_a_program_runs_while_it_is_wanted_and_its_use_is_seen() -> None:
    port = free_port()
    with running(python("-m", "benchmarks.upstream", str(port), "legacy"), port, "/", None) as pid:
        used = usage(pid)
        assert used.peak >= used.rss > 1
        assert used.cpu > 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIG_DFL)


def test_a_program_that_ends_at_once_is_reported_with_what_it_printed() -> None:
    command = python("-c", "import sys; sys.exit('cannot go on')")
    with pytest.raises(RuntimeError, match="the program ended: cannot go on"), running(command, free_port(), "/", None):
        pass


def test_pinning_holds_while_it_is_open_only() -> None:
    before = os.sched_getaffinity(0)
    core = min(before)
    with pinned(core):
        assert os.sched_getaffinity(0) == {core}
    with pinned(None):
        assert os.sched_getaffinity(0) == before
    assert os.sched_getaffinity(0) == before


def test_a_process_that_is_gone_has_used_nothing() -> None:
    assert usage(2**22 + 1).cpu == 0
    assert usage(2**22 + 1, alone=True) == usage(2**22 + 1)


def test_alone_leaves_the_children_out() -> None:
    with running(python("-m", "benchmarks.upstream", str(port := free_port()), "legacy"), port, "/", None):
        assert usage(os.getpid(), alone=True).rss < usage(os.getpid()).rss


def test_a_command_moves_itself_to_its_core() -> None:
    core = max(os.sched_getaffinity(0))
    command = on_core(core, python("-c", "import os; print(os.sched_getaffinity(0))"))
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == f"{{{core}}}"
    assert on_core(None, ["x"]) == ["x"]


def test_what_the_environment_says_of_telemetry_reaches_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    code = "import os, sys; sys.exit(repr(sorted(name for name in os.environ if name.startswith('OTEL_'))))"
    with pytest.raises(RuntimeError, match=r"\['OTEL_MINE'\]"):  # noqa: SIM117 - the start is what raises
        with running(python("-c", code), free_port(), "/", None, {"OTEL_MINE": "1"}):
            pass
