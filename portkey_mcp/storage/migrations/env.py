"""Read by Alembic for each run; the connection comes from `storage/upgrade.py`, whose caller holds the lock."""

from alembic import context

from portkey_mcp.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,  # for its constraint names
    render_as_batch=True,
)
context.run_migrations()
