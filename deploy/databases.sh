#!/bin/sh
# Makes each program's role and database on the PostgreSQL server that PGHOST and PGUSER name;
# PGUSER has to be a superuser. Run it as often as you like: what is there stays, passwords become
# those of the environment. A program gets into its own database only, so that whoever breaks into
# one reads no other.
set -eu

sql() { PGDATABASE=$1 psql --no-psqlrc --quiet --tuples-only --set ON_ERROR_STOP=1; }

# A password goes through the environment, never through arguments, which every process can read;
# and no statement that holds one may reach the server's log by failing.
role() {
  export ROLE="$1" DATABASE="$2" PASSWORD="$3"
  sql "${PGDATABASE:-postgres}" <<'SQL'
\getenv role ROLE
\getenv database DATABASE
\getenv password PASSWORD
SET log_min_error_statement = panic;
SELECT format('CREATE ROLE %I', :'role')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
SELECT format('ALTER ROLE %I LOGIN PASSWORD %L', :'role', :'password') \gexec
SELECT format('CREATE DATABASE %I', :'database')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
SELECT format('ALTER DATABASE %I OWNER TO %I', :'database', :'role') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'database') \gexec
SQL
  unset ROLE DATABASE PASSWORD
  echo "$2: ready for $1"
}

role "$POSTGRES_USER" "$POSTGRES_DB" "$POSTGRES_PASSWORD"
# The type of embeddings; only a superuser may bring it in.
sql "$POSTGRES_DB" <<'SQL'
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS vector;
SQL

if [ -n "${PREFECT_DB_PASSWORD:-}" ]; then role prefect prefect "$PREFECT_DB_PASSWORD"; fi
if [ -n "${MLFLOW_DB_PASSWORD:-}" ]; then role mlflow mlflow "$MLFLOW_DB_PASSWORD"; fi
if [ -n "${LABEL_STUDIO_DB_PASSWORD:-}" ]; then
  role labelstudio labelstudio "$LABEL_STUDIO_DB_PASSWORD"
fi
