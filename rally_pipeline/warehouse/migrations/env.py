"""Alembic's door: runs revisions on the connection it is handed, inside that connection's transaction."""

from alembic import context

from rally_pipeline.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transaction_per_migration=False,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
