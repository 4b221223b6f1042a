"""The step `enter`: each fault of an MCP URL is named, with how to mend it, and the walk goes on as far as it can."""

import pytest

from tests.doctor.clinic import TOKEN, Clinic
from tests.doctor.examined import examined, of, shown, told

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("fault", "verdict", "what", "mend"),
    [
        (
            "no challenge",
            "bad",
            "401, but without WWW-Authenticate",
            'WWW-Authenticate: Bearer resource_metadata="http',
        ),
        ("no pointer", "bad", "no resource_metadata", "send `WWW-Authenticate"),
        ("relative", "bad", "no absolute URL", "send `WWW-Authenticate"),
        ("no scope", "doubtful", "names no scope", "add the smallest scope"),
        ("error", "doubtful", "error=invalid_token, though no credential was sent", "only where a token came"),
        ("iserror", "bad", "a refusal inside a 200 (Please sign in)", "answer 401 with"),
        ("redirect", "bad", "307 Temporary Redirect to http", "in place"),
        ("site", "bad", "a site for people", "check the path"),
        ("403", "bad", "403 Forbidden (no): Claude takes a 403 as final", "401"),
        ("404", "bad", "404 Not Found (no): nothing is there", "check the path"),
        ("405", "bad", "it takes no POST", "streamable HTTP"),
        ("429", "bad", "it is limited by address", "do not limit by address"),
        ("503", "bad", "503 Service Unavailable (no): the server, or the proxy before it, failed", "log"),
        ("waf", "bad", "not everybody gets in: Claude-User gets 403 Forbidden with a web page", "160.79.104.0/21"),
        ("slash", "doubtful", "with a slash at its end: 404 Not Found", "in place"),
        ("case", "doubtful", "with a capital letter in its path: 404", "match paths in any case"),
    ],
)
async def test_k1_a_fault_of_the_mcp_url_is_named_with_how_to_mend_it(
    fault: str, verdict: str, what: str, mend: str
) -> None:
    findings = [finding for finding in await examined(Clinic(fault)) if finding.step == "enter"]

    assert told(findings, verdict, what, mend), shown(findings)
    assert verdict == "bad" or not of("bad", findings)


async def test_behind_a_firewall_that_blocks_claude_the_rest_is_looked_at_all_the_same() -> None:
    findings = await examined(Clinic("waf"))

    assert [finding.step for finding in of("bad", findings)] == ["enter"]
    assert told(findings, "good", "the issuer is exactly", "")


async def test_a_server_without_sign_in_has_no_metadata_and_shows_its_tools() -> None:
    findings = await examined(Clinic("open"))

    assert not of("bad", findings) + of("doubtful", findings), shown(findings)
    assert told(findings, "good", "no sign-in", "")
    assert told(findings, "good", "nothing below /.well-known/ looks like a sign-in", "")
    assert told(findings, "good", "2 tools", "")


async def test_a_server_without_sign_in_whose_site_answers_everything_is_found_out() -> None:
    findings = await examined(Clinic("open", "spa"))

    assert told(findings, "bad", "/.well-known/oauth-protected-resource answers 200 OK with a web page", "404 and JSON")


async def test_a_server_that_asks_only_for_its_tools_is_walked_through_all_the_same() -> None:
    findings = await examined(Clinic("lazy"))

    assert told(findings, "good", "asks for a sign-in when tools are listed", "")
    assert told(findings, "good", "401 with a Bearer challenge", "")
    assert told(findings, "good", "the issuer is exactly", "")


async def test_without_a_slash_is_how_claude_saves_a_url_so_that_one_must_be_there() -> None:
    clinic = Clinic("slash", path="/mcp/")
    findings = await examined(clinic)

    assert told(findings, "bad", "without the slash at its end, as Claude saves it: 404", "in place")


async def test_nothing_but_the_mcp_url_gets_the_token_and_sessions_are_ended() -> None:
    clinic = Clinic("legacy")
    await examined(clinic, token=TOKEN)

    assert {path for _, path, authorization in clinic.seen if authorization} == {"/mcp"}
    opened = [entry for entry in clinic.seen if entry[0] == "DELETE"]
    assert opened == [("DELETE", "/mcp", f"Bearer {TOKEN}")]
