"""`secrets`: the keys that seal what is secret at rest. Ids are shown, never keys.

Keys change while gateways serve: each one looks at the key file every second, and at once when it meets a key that it
does not know. What a gateway sealed with the old key after a pass went by is found by the next pass.
"""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Final

import anyio
import typer

from portkey_mcp.activity.acts import Act
from portkey_mcp.activity.audit import Audit
from portkey_mcp.cli import show
from portkey_mcp.cli.options import AsJson, Config, Data, load
from portkey_mcp.cli.who import whoever
from portkey_mcp.errors import Conflict, Mistake
from portkey_mcp.keepers import SEALED
from portkey_mcp.sealing import KeyRing, key_file
from portkey_mcp.settings import Settings
from portkey_mcp.storage.database import Database
from portkey_mcp.storage.resealing import Pass, counted, held
from portkey_mcp.storage.resealing import reseal as resealing

app = typer.Typer(help="The keys that seal what is secret at rest.", no_args_is_help=True)

NOTICED: Final = 2.0
"""Seconds after which every gateway has noticed another key file: each looks once a second."""

PASSES: Final = 5
"""Passes over everything at most: a second one finds what was sealed with an old key while the first one went by."""

BY_HAND: Final = (
    "keys come from PORTKEY_MCP_SECRET_KEYS, which this command cannot change: put a new one in front there "
    "(`NEW:…,OLD:…`, 32 random bytes as base64), start every gateway anew, run `secrets reseal`, and take an old one "
    "out once `secrets keys` says that nothing needs it"
)

ENDS: Final = "session ids and calls that wait end where they were sealed with it, and clients begin anew"

Yes = Annotated[bool, typer.Option("--yes", help="Do it, though session ids sealed with the key end.")]
DropOld = Annotated[
    bool,
    typer.Option("--drop-old", help="Then take away the keys that nothing at rest needs; session ids of theirs end."),
]


@app.command()
def keys(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """List the keys, the one that seals first, and how many values at rest still need each."""
    rows = anyio.run(_keys, load(config, data))
    show.records(rows if as_json else [_told(row) for row in rows], as_json=as_json)


@app.command()
def rotate(config: Config = None, data: Data = None, drop_old: DropOld = False, as_json: AsJson = False) -> None:
    """Make a fresh key, seal everything at rest with it, and say which old keys are still needed."""
    settings = load(config, data)
    if settings.secret_keys.get_secret_value():
        raise Mistake(BY_HAND)
    rows = anyio.run(_rotate, settings, drop_old)
    show.records(rows, as_json=as_json)


@app.command()
def reseal(config: Config = None, data: Data = None, as_json: AsJson = False) -> None:
    """Seal everything at rest with the first key; changes no key."""
    show.records(anyio.run(_reseal, load(config, data)), as_json=as_json)


@app.command()
def drop(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `secrets keys` lists it.")],
    config: Config = None,
    data: Data = None,
    yes: Yes = False,
) -> None:
    """Take an old key away that nothing at rest needs any more."""
    settings = load(config, data)
    if settings.secret_keys.get_secret_value():
        raise Mistake(BY_HAND)
    if not yes:
        raise Mistake(f"with the key {key!r} away, {ENDS}; say --yes if they may")
    anyio.run(_drop, settings, key)
    typer.echo(f"The key {key!r} is gone.")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Database, KeyRing]]:
    database = await Database.open(settings.data)
    try:
        yield database, KeyRing.of(settings.data, settings.secret_keys.get_secret_value())
    finally:
        await database.close()


async def _keys(settings: Settings) -> list[dict[str, object]]:
    async with _opened(settings) as (database, keyring):
        return _listed(keyring, await held(database, SEALED))


def _listed(keyring: KeyRing, needed: Mapping[str, Counter[str]]) -> list[dict[str, object]]:
    """Keys of the ring, then those that something at rest needs and nobody has."""
    known = keyring.key_ids
    use = {known[0]: "seals", **dict.fromkeys(known[1:], "opens")}
    lost = sorted(set(needed) - set(known))
    return [
        {"key": key, "use": use.get(key, "missing"), "needed_by": dict(needed.get(key, {}))} for key in (*known, *lost)
    ]


async def _rotate(settings: Settings, drop_old: bool) -> list[dict[str, object]]:
    async with _opened(settings) as (database, _):
        file = key_file(settings.data)
        with file.alone():
            fresh = file.add()
            await _note(database, fresh, "made")
            _say(f"The new key {fresh!r} is in {file.path}; keep a copy of that file.")
            keyring = KeyRing.of(settings.data)
            await anyio.sleep(NOTICED)
            passed = await _all(database, keyring)
            if drop_old:
                for key in keyring.key_ids[1:]:
                    if await _drop_key(database, keyring, key):
                        _say(f"The key {key!r} is gone.")
            return _results(passed, keyring, await held(database, SEALED))


async def _reseal(settings: Settings) -> list[dict[str, object]]:
    async with _opened(settings) as (database, keyring):
        with key_file(settings.data).alone():
            passed = await _all(database, keyring)
            return _results(passed, keyring, await held(database, SEALED))


async def _all(database: Database, keyring: KeyRing) -> dict[str, Pass]:
    """Pass over every table until nothing is found that an old key sealed."""
    total = {place.name: Pass(place.name) for place in SEALED}
    for _ in range(PASSES):
        found = 0
        for place in SEALED:
            before, last = total[place.name], Pass(place.name)
            async for last in resealing(database, keyring, place):
                if last.resealed:
                    _say(f"{place.name}: {before.resealed + last.resealed} sealed anew")
            total[place.name] = Pass(place.name, before.resealed + last.resealed, last.unreadable)
            found += last.resealed
        if not found:
            break
    return total


def _results(
    passed: Mapping[str, Pass], keyring: KeyRing, needed: Mapping[str, Counter[str]]
) -> list[dict[str, object]]:
    """One record for each table; and what is to be known besides, for a person."""
    first, *old = keyring.key_ids
    for key in old:
        still = ", ".join(f"{name} ({number})" for name, number in needed.get(key, {}).items())
        away = f"`portkey-mcp secrets drop {key} --yes` takes it away; then {ENDS}"
        _say(
            f"The key {key!r} is still needed by {still}."
            if still
            else f"Nothing at rest needs the key {key!r}; {away}."
        )
    return [
        {"what": one.name, "key": first, "resealed": one.resealed, "unreadable": one.unreadable}
        for one in passed.values()
    ]


async def _drop(settings: Settings, key: str) -> None:
    async with _opened(settings) as (database, _):
        with key_file(settings.data).alone():
            keyring = KeyRing.of(settings.data)
            if key not in keyring.key_ids:
                raise Mistake(f"there is no key {key!r}; known are: {', '.join(keyring.key_ids)}")
            if key == keyring.key_ids[0]:
                raise Mistake(f"the key {key!r} seals; `portkey-mcp secrets rotate` makes another one first")
            if not await _drop_key(database, keyring, key):
                raise Conflict(
                    f"the key {key!r} is still needed; `portkey-mcp secrets reseal` seals anew what can be opened"
                )


async def _drop_key(database: Database, keyring: KeyRing, key: str) -> bool:
    """Take it out of the file, unless something at rest needs it. Nobody writes to the database meanwhile."""
    async with database.write(announce=False) as session:
        if (await counted(session, SEALED)).get(key):
            return False
        key_file(database.path.parent).drop({key})
    await _note(database, key, "taken away")
    keyring.follow()
    return True


async def _note(database: Database, key: str, what: str) -> None:
    audit = Audit(database)
    audit.note(Act("secret_keys", who=whoever(), subject=key, detail={"key": what}))
    await audit.flush()


def _told(row: dict[str, object]) -> dict[str, object]:
    needed = row["needed_by"]
    assert isinstance(needed, dict)
    return {**row, "needed_by": [f"{name} ({number})" for name, number in needed.items()]}


def _say(line: str) -> None:
    """Progress, beside what is printed for programs."""
    typer.echo(line, err=True)
