"""The history: a database of results (SQLite file by default, PostgreSQL by URL). Needs SQLAlchemy."""
