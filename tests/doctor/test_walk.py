"""The whole way, on a server that is good and on ones that cannot be reached or trusted."""

import socket
from pathlib import Path

import pytest

from portkey_mcp.doctor.finding import TITLES
from portkey_mcp.doctor.walk import examine
from portkey_mcp.errors import Mistake
from tests.doctor.clinic import TOKEN, Clinic
from tests.doctor.examined import examined, listener, of, shown, told
from tests.doctor.tls import believing, certificate, door
from tests.stories.gateway import serving

pytestmark = pytest.mark.anyio


async def test_a_good_server_is_good_at_every_step_and_in_their_order() -> None:
    findings = await examined(Clinic(), token=TOKEN, register=True)

    assert of("bad", findings) + of("doubtful", findings) + of("skipped", findings) == [], shown(findings)
    assert list(dict.fromkeys(finding.step for finding in findings)) == list(TITLES)


async def test_whatever_is_not_good_says_how_to_mend_it() -> None:
    for clinic in (Clinic("iserror"), Clinic("spa"), Clinic("issuer slash", "open redirect", "wants json")):
        findings = await examined(clinic)
        assert of("bad", findings)
        assert not [finding for finding in findings if finding.verdict in ("bad", "doubtful") and not finding.mend]


@pytest.mark.parametrize("url", ["nonsense", "mcp.example.com/mcp", "ftp://h/mcp"])
async def test_what_is_no_url_is_a_mistake(url: str) -> None:
    with pytest.raises(Mistake):
        [finding async for finding in examine(url)]


async def test_where_nobody_listens_that_is_said_and_nothing_more_is_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    findings = [finding async for finding in examine(f"http://127.0.0.1:{port}/mcp")]

    assert told(findings, "bad", "takes no connection (Connection refused)", "firewall")
    assert findings[-1].verdict == "skipped"


async def test_by_https_the_certificate_is_looked_at(tmp_path: Path) -> None:
    file = certificate(tmp_path)
    clinic = Clinic(scheme="https")
    async with serving(clinic.app, listener()) as origin, door(file, int(origin.rpartition(":")[2])) as port:
        url = f"https://127.0.0.1:{port}/mcp"
        findings = [finding async for finding in examine(url, token=TOKEN, trust=believing(file))]

    assert told(findings, "good", "certificate for 127.0.0.1 by The tests, good for 89 more days", "")
    assert told(findings, "good", "2 tools", "")


async def test_a_certificate_that_is_not_trusted_is_bad_and_gets_no_token(tmp_path: Path) -> None:
    file, other = certificate(tmp_path), certificate(tmp_path, last=91)
    clinic = Clinic(scheme="https")
    async with serving(clinic.app, listener()) as origin, door(file, int(origin.rpartition(":")[2])) as port:
        url = f"https://127.0.0.1:{port}/mcp"
        findings = [finding async for finding in examine(url, token=TOKEN, trust=believing(other))]

    assert told(findings, "bad", "the certificate is refused: it is signed by itself", "public authority")
    assert told(findings, "good", "401", ""), shown(findings)
    assert told(findings, "skipped", "so the token was not sent", "")
    assert not [authorization for _, _, authorization in clinic.seen if authorization]


@pytest.mark.parametrize("token", ["another-token", "x" * 500])
async def test_a_server_that_repeats_the_token_does_not_get_it_shown(token: str) -> None:
    findings = await examined(Clinic("repeats"), token=token)

    assert told(findings, "bad", "the token is refused: 401 Unauthorized (unauthorized: Bearer …)", "audience")
    assert token[:10] not in shown(findings)


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "ü"])
async def test_what_can_be_no_token_is_a_mistake_that_does_not_repeat_it(token: str) -> None:
    with pytest.raises(Mistake) as raised:
        [finding async for finding in examine("http://127.0.0.1:1/mcp", token=token)]

    assert token not in str(raised.value)


async def test_who_stops_early_leaves_nothing_running() -> None:
    clinic = Clinic()
    async with serving(clinic.app, listener()) as origin:
        findings = examine(f"{origin}/mcp")
        async for finding in findings:
            if finding.step == "enter":
                break
        await findings.aclose()

    assert "/token" not in {path for _, path, _ in clinic.seen}
