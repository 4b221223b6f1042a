from tests.cli.program import run


def test_every_command_about_policies_is_there() -> None:
    said = run("policy", "--help").out

    for command in (
        "show",
        "history",
        "diff",
        "edit",
        "save",
        "rollback",
        "enable",
        "disable",
        "set",
        "check",
        "explain",
    ):
        assert f"\n  {command} " in said
