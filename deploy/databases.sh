#!/bin/sh
# Makes each program's role and database on a PostgreSQL server. It reads the environment:
#   PGHOST, PGPORT, PGUSER, PGPASSWORD              the server, and a superuser of it
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB   autods: its role, and its database
#   PREFECT_DB_PASSWORD, MLFLOW_DB_PASSWORD, LABEL_STUDIO_DB_PASSWORD
#                                                   the others; without a password, nothing is made
# Run it as often as you like: what is there stays, passwords become those of the environment. A
# program gets into its own database only, so that whoever breaks into one reads no other.
set -eu

command -v psql >/dev/null || { echo "databases.sh: no psql here: install PostgreSQL's client" >&2; exit 2; }
missing=
need() { [ -n "$2" ] || { echo "databases.sh: set $1, $3" >&2; missing=yes; }; }
need PGUSER "${PGUSER:-}" "a superuser of the server (and PGPASSWORD, its password)"
need POSTGRES_USER "${POSTGRES_USER:-}" "the role that autods enters by"
need POSTGRES_PASSWORD "${POSTGRES_PASSWORD:-}" "that role's password"
need POSTGRES_DB "${POSTGRES_DB:-}" "the database of autods's catalog"
[ -z "$missing" ] || exit 2

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
