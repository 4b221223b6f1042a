import pytest

from portkey_mcp.errors import (
    ClientRefused,
    InvalidRequest,
    Mistake,
    NotFetched,
    Unreachable,
    UpstreamDown,
    UpstreamError,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (Mistake("no such file", file="portkey.yaml"), "portkey.yaml: no such file"),
        (Mistake("unknown member", file="portkey.yaml", line=3, column=5), "portkey.yaml:3:5: unknown member"),
        (Mistake("give a URL or a command"), "give a URL or a command"),
    ],
)
def test_a_mistake_says_where_it_is(mistake: Mistake, text: str) -> None:
    assert str(mistake) == text


@pytest.mark.parametrize(("error", "code"), [({"code": -32602, "message": "no"}, -32602), ({"code": "x"}, 0), ({}, 0)])
def test_an_upstream_error_has_its_code_where_that_is_a_number(error: dict[str, object], code: int) -> None:
    assert UpstreamError(error).code == code


def test_a_server_that_is_down_is_named_with_the_reason() -> None:
    assert str(UpstreamDown("files", "connection refused")) == "server 'files' is not available: connection refused"
    assert str(UpstreamTimeout("files", "60 s are over")) == "server 'files' did not answer: 60 s are over"


def test_an_invalid_request_reads_as_its_message() -> None:
    assert str(InvalidRequest(-32600, "Not a request")) == "Not a request"


def test_what_was_not_fetched_and_who_was_refused_is_told_in_words() -> None:
    assert str(NotFetched("the address 10.0.0.1 of h is private", inside=True)).startswith("the address")
    gone = Unreachable("h did not answer")
    assert (str(gone), gone.inside, isinstance(gone, NotFetched)) == ("h did not answer", True, True)
    assert str(ClientRefused("Clients of h are not accepted here.", 30.0)) == "Clients of h are not accepted here."


def test_errors_can_be_raised_twice_with_their_traceback() -> None:
    error = UpstreamDown("files", "gone", sent=True)
    for _ in range(2):
        with pytest.raises(UpstreamDown) as caught:
            raise error
        assert caught.value.sent
