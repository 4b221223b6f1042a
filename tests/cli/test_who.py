import getpass
import os

import pytest

from portkey_mcp.cli.who import who, whoever


def test_it_is_the_user_of_the_operating_system() -> None:
    assert who() == f"cli:{getpass.getuser()}"
    assert (whoever().id, whoever().name) == (who(), f"{getpass.getuser()} on the command line")


@pytest.mark.parametrize("error", [KeyError("uid not found"), OSError("no username")])
def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert who() == f"cli:{os.getuid()}"
