#!/bin/sh
# Run once by the postgres image, on an empty data directory: the role that writes, the role of analysts, two databases.
# What they may do is granted afterwards by `rally-pipeline grant`. Passwords come from the environment.
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "${POSTGRES_DB:-postgres}" \
  -v writer_password="$RALLY_DB_PASSWORD" -v reader_password="$READER_PASSWORD" <<'SQL'
CREATE ROLE rally LOGIN PASSWORD :'writer_password';
CREATE ROLE analyst LOGIN PASSWORD :'reader_password';
CREATE DATABASE rally OWNER rally;
CREATE DATABASE dagster OWNER rally;
REVOKE ALL ON DATABASE rally FROM PUBLIC;
REVOKE ALL ON DATABASE dagster FROM PUBLIC;
SQL
