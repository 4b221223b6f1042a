"""The browser of the stories sees what a person's browser would complain about, and where people are sent."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.stories.browser import browser
from tests.stories.gateway import serving

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("one_chromium"), pytest.mark.outside("chromium")]

ICON = '<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A page</title>'
FORM = f"""{ICON}<form method="post"><input type="hidden" name="to" value="TO">
<input name="email"><input name="password"><button>Sign in</button></form>"""
PAGES = {
    "fine": f"{ICON}<p>Good day</p>",
    "script": f"{ICON}<script>throw new Error('no')</script>",
    "image": f'{ICON}<img alt="" src="https://tracker.example/x.png">',
    "frame": f'{ICON}<iframe src="http://127.0.0.1:9/"></iframe>',
    "inline": f'{ICON}<meta http-equiv="Content-Security-Policy" content="style-src \'self\'"><style>p{{}}</style>',
}


async def show(request: Request) -> Response:
    refused = request.query_params.get("refused")
    return HTMLResponse(PAGES[request.path_params["page"]], 403 if refused else 200)


async def form(request: Request) -> Response:
    if request.method == "GET":
        return HTMLResponse(FORM.replace("TO", request.query_params["to"]))
    sent = await request.form()
    return RedirectResponse(f"{sent['to']}?who={sent['email']}&knows={sent['password']}", 302)


app = Starlette(routes=[Route("/form", form, methods=["GET", "POST"]), Route("/{page}", show)])


@pytest.mark.parametrize("page", ["fine", "fine?refused=1"])
async def test_a_page_without_fault_passes_whatever_its_status(page: str) -> None:
    async with serving(app) as origin, browser(origin) as person:
        await person.visit(f"{origin}/{page}")
        assert await person.text() == "Good day"


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ("script", "JavaScript failed"),
        ("image", "asked for https://tracker.example/x.png"),
        ("frame", "asked for http://127.0.0.1:9/"),
        ("inline", "Content Security Policy"),
    ],
)
async def test_a_page_with_a_fault_fails_the_story(page: str, fault: str) -> None:
    async with serving(app) as origin:
        with pytest.raises(AssertionError, match=fault):
            async with browser(origin) as person:
                await person.visit(f"{origin}/{page}")


@pytest.mark.parametrize("back", ["https://claude.ai/api/mcp/auth_callback", "cursor://anysphere.cursor-mcp/callback"])
@pytest.mark.parametrize("javascript", [True, False])
async def test_a_form_sends_people_to_where_no_browser_can_go(back: str, javascript: bool) -> None:
    where = back.split("/")[2]
    elsewhere = [f"{back.split(':')[0]}://{where}"]
    async with serving(app) as origin, browser(origin, elsewhere=elsewhere, javascript=javascript) as person:
        await person.visit(f"{origin}/form?to={back}")
        await person.sign_in("ada@example.com", "secret")
        assert await person.sent_to(back) == f"{back}?who=ada@example.com&knows=secret"


async def test_people_are_not_sent_where_the_story_does_not_say_so() -> None:
    async def leave(origin: str) -> None:
        async with browser(origin) as person:
            await person.visit(f"{origin}/form?to=https://evil.example/")
            await person.sign_in("ada@example.com", "secret")
            await person.sent_to("https://evil.example/")

    async with serving(app) as origin:
        with pytest.raises(AssertionError, match=r"asked for https://evil\.example/"):
            await leave(origin)


async def test_a_host_name_is_where_the_story_says() -> None:
    async with serving(app) as origin:
        place = origin.removeprefix("http://")
        async with browser("http://alias.example", hosts={"alias.example": place}, width=320) as person:
            await person.visit("http://alias.example/fine")
            assert await person.text() == "Good day"
            assert await person.page.evaluate("innerWidth") == 320
