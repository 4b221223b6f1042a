"""How this process runs: command line over environment (`PORTKEY_MCP_*`) over `portkey.yaml` over defaults.

What a gateway *serves* (workspaces, servers, keys) is no setting; it lives in the registry. The `OTEL_*` variables are
read by the OpenTelemetry SDK itself.
"""

import ipaddress
import re
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from portkey_mcp.errors import Mistake, Mistakes

Auth = Literal["required", "none"]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX = "PORTKEY_MCP_"
PATH = re.compile(r"(?:/[A-Za-z0-9_~-]+)*")
"""The path of a public URL."""


class Settings(BaseSettings):
    """Settings of one process. Build it with `load`, which words a wrong value for a person."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    config: Path | None = None
    """The `portkey.yaml` to provision from and to watch."""
    data: Path = Field(default=Path("~/.local/share/portkey-mcp"), validate_default=True)
    """Directory of the database and the key file; made on first run."""
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    """0 lets the system choose a free one."""
    public_url: str = ""
    """URL under which clients reach the gateway; every absolute URL is made from it.

    It has a path where a reverse proxy serves the gateway below one."""
    auth: Auth = "required"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    call_timeout_seconds: float = Field(default=300, gt=0)
    """How long an upstream may take for one call before it is cancelled."""
    max_body_bytes: int = Field(default=4 * 1024 * 1024, gt=0)
    """The largest HTTP request body that is read."""
    session_days: int = Field(default=30, gt=0)
    """How long the session id of a legacy client stays good."""
    trusted_proxies: str = ""
    """Networks of reverse proxies whose `X-Forwarded-For` is believed, with commas between them; none by default."""
    secret_keys: SecretStr = SecretStr("")
    """`id:base64,id:base64`: the first key seals, all open. Empty: a key file in `data`."""

    @field_validator("data", "config")
    @classmethod
    def _home(cls, path: Path | None) -> Path | None:
        return path.expanduser() if path else path

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        if problem := origin_problem(value):
            raise ValueError(problem)
        return value.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: str) -> str:
        networks_of(value)
        return value

    @property
    def proxies(self) -> tuple[Network, ...]:
        """`trusted_proxies` as networks."""
        return networks_of(self.trusted_proxies)

    @property
    def base_url(self) -> str:
        """`public_url`, or where the gateway listens when none was given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.public_url or f"http://{host}:{self.port}"

    def completed(self, *, public_url: str | None = None, auth: Auth | None = None) -> Self:
        """Take what `portkey.yaml` says where neither command line nor environment did."""
        said = {"public_url": public_url and public_url.rstrip("/"), "auth": auth}
        fresh = {name: value for name, value in said.items() if value and name not in self.model_fields_set}
        return self.model_copy(update=fresh)


def load(**given: Any) -> Settings:
    """Read the settings; `given` comes from the command line and wins, None in it means not given.

    Raises:
        Mistakes: a value is wrong; each line names the variable.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise Mistakes(
            [
                Mistake(f"{PREFIX}{str(wrong['loc'][0]).upper()}: {wrong['msg'].removeprefix('Value error, ')}")
                for wrong in error.errors(include_url=False, include_input=False)
            ]
        ) from None


def networks_of(text: str) -> tuple[Network, ...]:
    """Networks out of a list with commas.

    Raises:
        ValueError: one of them is none.
    """
    found = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(ipaddress.ip_network(part))
        except ValueError:
            raise ValueError(f"{part!r} is no network; expected one like 10.0.0.0/8, 192.168.1.7 or fd00::/8") from None
    return tuple(found)


def origin_problem(url: str) -> str:
    """What is wrong with a public URL, as a sentence; empty when nothing is, or when it is empty."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        return f"{url!r} is no http(s) URL; expected an origin like https://mcp.example.com"
    if parts.query or parts.fragment or parts.username is not None:
        plain = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"
        return f"{url!r} has more than an origin and a path; expected {plain}"
    if not PATH.fullmatch(parts.path.rstrip("/")):
        return f"{url!r} has a path that cannot be one; expected letters, digits, - and _ between slashes"
    return ""


def is_loopback(host: str) -> bool:
    """Whether a socket bound to `host` is reachable from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def refuse_open_gateway(settings: Settings) -> None:
    """Refuse to let strangers in: `auth: none` makes everyone an admin, so only this machine may reach it.

    Raises:
        Mistake: `auth` is `none` and the host is not loopback.
    """
    if settings.auth == "none" and not is_loopback(settings.host):
        raise Mistake(
            f"auth: none makes everyone who can connect an admin, so it works on a loopback address only, "
            f"not on {settings.host!r}; set host to 127.0.0.1, or auth to required"
        )
