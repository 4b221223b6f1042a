"""A record is one line, and no line holds what a message carried."""

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from opentelemetry.trace.span import TraceState

from portkey_mcp.errors import UpstreamDown, UpstreamError
from portkey_mcp.telemetry.logs import QUIET, start


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_a_record_is_one_line_with_time_level_and_logger(stream: io.StringIO) -> None:
    start("info", stream)
    logging.getLogger("portkey_mcp.gateway").warning("server %r\nforged\x1b[31m line\u2028", "files")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING portkey_mcp\.gateway: "
        r"server 'files'\\nforged\\x1b\[31m line\\x2028\n",
        stream.getvalue(),
    )


def test_the_level_decides_and_starting_twice_does_not_double_lines(stream: io.StringIO) -> None:
    start("debug", stream)
    start("warning", stream)
    logging.getLogger("portkey_mcp").info("not heard")
    logging.getLogger("portkey_mcp").warning("heard")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("hush"), "ValueError at "),
        (UpstreamError({"code": 1, "message": "hush"}), "portkey_mcp.errors.UpstreamError at "),
        (UpstreamDown("files", "refused"), "server 'files' is not available: refused at "),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused at "),
    ],
)
def test_an_exception_is_told_by_its_type_and_place_and_only_safe_text(
    stream: io.StringIO, error: Exception, told: str
) -> None:
    start("info", stream)
    try:
        raise error
    except Exception:
        logging.getLogger("portkey_mcp").exception("failed")
    line = stream.getvalue()
    assert told in line
    assert "test_logs.py:" in line
    assert "hush" not in line
    assert line.count("\n") == 1


def test_a_json_error_does_not_quote_the_document(stream: io.StringIO) -> None:
    start("info", stream)
    try:
        json.loads('{"token": "hush')
    except ValueError:
        logging.getLogger("portkey_mcp").exception("bad message")
    assert "hush" not in stream.getvalue()


def test_foreign_libraries_do_not_log_what_they_carry_even_at_debug(stream: io.StringIO) -> None:
    start("debug", stream)
    logging.getLogger("httpx2").info("HTTP Request: GET http://h/?token=hush")
    logging.getLogger("aiohttp.client").debug("hush")
    logging.getLogger("mcp.server.streamable_http_manager").info("Created new transport with session ID: hush")
    TraceState.from_header(["hush hush"])
    assert stream.getvalue() == ""
