"""Alembic's entry: one transaction for all revisions, on the connection that core.db.migrate hands over."""

from __future__ import annotations

from alembic import context

from core.db import models

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=models.Base.metadata,
    render_as_batch=True,
    compare_type=True,
    user_module_prefix="models.",
)
with context.begin_transaction():
    context.run_migrations()
