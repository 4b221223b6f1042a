"""Who works on the command line: the user of the operating system, as far as it knows one."""

import getpass
import os

from portkey_mcp.model import Principal


def who() -> str:
    """Their id, for histories."""
    return f"cli:{_name()}"


def whoever() -> Principal:
    """The same as a principal, for the audit. It may all that the command line may."""
    return Principal(who(), f"{_name()} on the command line", "local", everywhere="owner")


def _name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())
