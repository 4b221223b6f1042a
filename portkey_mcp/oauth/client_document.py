"""Client ID Metadata Documents, read: what a client says of itself at the URL that is its name. Pure.

draft-ietf-oauth-client-id-metadata-document-00, sections 3 and 4, with the members of RFC 7591 section 2. Nothing in a
document is proven but that whoever controls the URL wrote it: `name` is a claim, so the consent page shows the hosts.
Only public clients (`none`) come in: there is no secret that both sides could keep.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from portkey_mcp.errors import ClientRefused, NotFetched
from portkey_mcp.model import LONGEST_LABEL
from portkey_mcp.oauth.redirects import MOST, redirect_problem
from portkey_mcp.target import read as read_url

LONGEST_ID: Final = 512
"""Characters."""
MOST_GRANTS: Final = 20

_METHODS: Final = (
    "token_endpoint_auth_method",
    "token_endpoint_auth_methods",
    "token_endpoint_auth_methods_supported",
)
"""RFC 7591 knows the first, as one string. ChatGPT lists in another what it can do besides (oauth.md, section 4)."""

_SEGMENT: Final = re.compile(r"(\.|%2e){1,2}", re.IGNORECASE)
_WORD: Final = re.compile(r"[!-~]{1,200}")


@dataclass(frozen=True, slots=True)
class ClientDocument:
    """What is known of a client that has a document.

    `redirect_uris` are as written; for those on loopback any port will do (RFC 8252, section 7.3). `application_type`
    is what the document says, or what its redirect URIs tell. `source` is `pinned` where only the shipped copy could
    be had.
    """

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    grant_types: tuple[str, ...] = ("authorization_code",)
    auth_method: Literal["none"] = "none"
    application_type: Literal["web", "native"] = "web"
    source: Literal["fetched", "pinned"] = "fetched"

    def as_pinned(self) -> "ClientDocument":
        """The same, as known from the shipped copy."""
        return replace(self, source="pinned")


def check_id(client_id: str) -> str:
    """The host of a client id that is a URL.

    Raises:
        ClientRefused: it is no URL that can name a client: https, with a path, without anything that could be written
            in two ways.
    """
    if len(client_id) > LONGEST_ID:
        raise ClientRefused(f"The client's id has {len(client_id)} characters; {LONGEST_ID} are the most.")
    try:
        target = read_url(client_id)
    except NotFetched as error:
        raise ClientRefused(f"The client's id is no URL that can be fetched: {error}.") from None
    path = target.path
    if not client_id.startswith("https://"):
        raise ClientRefused("The client's id must begin with https://.")
    if "?" in client_id:
        raise ClientRefused("The client's id must not have a query.")
    if path == "/" or any(_SEGMENT.fullmatch(segment) for segment in path.split("/")):
        raise ClientRefused("The client's id must have a path, and no `.` or `..` in it.")
    if not client_id.startswith(f"https://{target.authority}/"):
        raise ClientRefused("The client's id must name its host in small letters and without the usual port.")
    return target.host


def read(client_id: str, document: Any, native: Collection[str] = ()) -> ClientDocument:
    """Read the document that was found at a client's id. `native` are the schemes of applications that may be led to.

    Raises:
        ClientRefused: it is not a document of this client, or not of one that may come in.
    """
    if not isinstance(document, dict):
        raise ClientRefused("The client's document is no JSON object.")
    if document.get("client_id") != client_id:
        raise ClientRefused("The client's document names another client_id than the URL where it was found.")
    name = document.get("client_name")
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_LABEL or not name.isprintable():
        raise ClientRefused(f"The client's document needs a client_name of 1 to {LONGEST_LABEL} plain characters.")
    _check_authentication(document)
    redirects = _texts(document, "redirect_uris", MOST)
    if not redirects:
        raise ClientRefused("The client's document lists no redirect_uris.")
    for uri in redirects:
        if problem := redirect_problem(uri, native):
            raise ClientRefused(f"The client's document cannot be used: {problem}.")
    grants = _texts(document, "grant_types", MOST_GRANTS)
    if not all(_WORD.fullmatch(grant) for grant in grants):
        raise ClientRefused("The client's document lists a grant type that is none.")
    return ClientDocument(
        client_id,
        name.strip(),
        redirects,
        grants or ("authorization_code",),
        application_type=_application_type(document, redirects),
    )


def _check_authentication(document: dict[str, Any]) -> None:
    """Draft section 4.1: no secret, and no method based on one. RFC 7591's default does not hold here: it is one."""
    if "client_secret" in document or "client_secret_expires_at" in document:
        raise ClientRefused("The client's document holds a client_secret, which everybody could read.")
    said = [document[member] for member in _METHODS if document.get(member) is not None]
    methods = [method for value in said for method in (value if isinstance(value, list) else [value])]
    if not all(isinstance(method, str) for method in methods):
        raise ClientRefused("The client's document names a way to authenticate that is none.")
    if any(method.startswith("client_secret") for method in methods):
        raise ClientRefused("The client's document names a way to authenticate that needs a shared secret.")
    if methods and "none" not in methods:
        raise ClientRefused("The client always authenticates; here it must also be able to come without (`none`).")


def _texts(document: dict[str, Any], member: str, most: int) -> tuple[str, ...]:
    found = document.get(member, [])
    if not isinstance(found, list) or len(found) > most or not all(isinstance(text, str) for text in found):
        raise ClientRefused(f"The client's document needs {member} to be a list of at most {most} strings.")
    return tuple(dict.fromkeys(found))


def _application_type(document: dict[str, Any], redirects: Iterable[str]) -> Literal["web", "native"]:
    """Claude Code has a native client's redirect URIs and does not say what it is (claude-code issue 64705)."""
    said = document.get("application_type")
    if said == "native" or said == "web":
        return "native" if said == "native" else "web"
    on_the_web = any(urlsplit(uri).scheme.lower() == "https" for uri in redirects)
    return "web" if on_the_web else "native"
