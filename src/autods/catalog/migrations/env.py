"""How alembic runs our migrations: on the connection that the catalog hands over."""

from alembic import context

from autods.catalog.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=context.config.attributes["namespace"],
    render_as_batch=True,
)
context.run_migrations()
