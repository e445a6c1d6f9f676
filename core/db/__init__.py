"""The database: engine.py opens it, models.py says what is in it, migrations/ build it."""
