"""What is done over the API and matters to security is remembered: done, or refused and why."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from portkey_mcp.activity.acts import Act, Note
from portkey_mcp.admin.desk import Asker
from portkey_mcp.errors import Conflict, Forbidden


@contextmanager
def acting(note: Note, asker: Asker, act: str, subject: str, **detail: str) -> Iterator[None]:
    """Take note of what the block does: done once it ends, refused where it raises `Forbidden` or `Conflict`.

    A block that fails otherwise did nothing that anybody asked for rightly, and is not noted.
    """
    done = Act(
        act, who=asker.principal, address=asker.address, workspace=asker.workspace, subject=subject, detail=detail
    )
    try:
        yield
    except (Forbidden, Conflict) as refused:
        note(replace(done, outcome="refused", why=str(refused)))
        raise
    note(done)
