"""Placeholder while registry's importer is written."""

from pathlib import Path

from portkey_mcp.cli.stores import Stores


async def import_file(stores: Stores, file: Path, workspace: str, *, approve: bool) -> None:
    """x"""
