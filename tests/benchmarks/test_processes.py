"""Programs are started, waited for, watched and ended."""

import os
import signal

import pytest

from benchmarks.processes import free_port, pinned, python, running, usage


def test_a_program_runs_while_it_is_wanted_and_its_use_is_seen() -> None:
    port = free_port()
    with running(python("-m", "benchmarks.upstream", str(port), "legacy"), port, "/", None) as pid:
        used = usage(pid)
        assert used.peak > 1
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
