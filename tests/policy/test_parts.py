"""What the members of a rule may say: the right forms are read, the wrong ones say what would be right."""

from typing import Any

import pytest
from pydantic import ValidationError

from portkey_mcp.policy.parts import Argument, Limit, Redaction, Whom


@pytest.mark.parametrize(
    ("part", "data", "said"),
    [
        (Limit, {"per": "day"}, "exactly one of calls, cost and concurrent"),
        (Limit, {"calls": 1, "concurrent": 1}, "exactly one of calls, cost and concurrent"),
        (Limit, {"calls": 1}, "`calls` needs `per`"),
        (Limit, {"concurrent": 1, "per": "day"}, "has no `per`"),
        (Limit, {"calls": -1, "per": "day"}, "greater than or equal to 0"),
        (Limit, {"calls": True, "per": "day"}, "integer"),
        (Limit, {"calls": 1, "per": "fortnight"}, "'minute', 'hour', 'day', 'week' or 'month'"),
        (Limit, {"calls": 1, "per": "day", "each": []}, "names nobody"),
        (Limit, {"calls": 1, "per": "day", "each": "person"}, "'user', 'key'"),
        (Redaction, {}, "either `find`"),
        (Redaction, {"find": "email", "pattern": "a"}, "either `find`"),
        (Redaction, {"find": "passwords"}, "'secrets', 'jwt'"),
        (Redaction, {"pattern": "(a"}, "is no RE2 expression"),
        (Redaction, {"pattern": "a*"}, "fits an empty text"),
        (Redaction, {"pattern": r"(a)\1"}, "is no RE2 expression"),
        (Argument, {}, "either `value`"),
        (Argument, {"value": 1, "hidden": True}, "either `value`"),
        (Whom, {}, "names nobody"),
        (Whom, {"groups": []}, "names nobody"),
        (Whom, {"networks": ["10.0.0.1/8"]}, "host bits"),
        (Whom, {"networks": ["office"]}, "expected a network like 10.0.0.0/8"),
        (Whom, {"networks": [10]}, "expected a network like 10.0.0.0/8"),
    ],
)
def test_what_is_wrong_is_said(part: Any, data: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        part.model_validate(data)
    assert said in str(wrong.value)


def test_an_argument_may_be_fixed_to_nothing() -> None:
    assert Argument.model_validate({"value": None}).hidden is False


def test_the_amount_of_a_limit_is_whichever_it_has() -> None:
    limits = [{"calls": 3, "per": "day"}, {"cost": 0, "per": "week"}, {"concurrent": 5}]
    assert [Limit.model_validate(limit).amount for limit in limits] == [3, 0, 5]


def test_one_subject_or_several() -> None:
    assert Limit.model_validate({"calls": 1, "per": "day", "each": "user"}).each == ("user",)
    assert Limit.model_validate({"calls": 1, "per": "day", "each": ["user", "tool"]}).each == ("user", "tool")
    assert Limit.model_validate({"calls": 1, "per": "day"}).each == ("workspace",)


def test_a_redaction_is_called_by_its_name() -> None:
    assert Redaction.model_validate({"find": "email"}).label == "email"
    assert Redaction.model_validate({"pattern": "a+", "name": "ticket"}).label == "ticket"
    assert Redaction.model_validate({"pattern": "a+"}).label == "pattern"
