//! The SQL: the Store trait on Postgres and on SQLite.
