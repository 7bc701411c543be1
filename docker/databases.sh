#!/bin/sh
# Run once by the PostgreSQL image: a database and a user each for MLflow and Prefect, so that neither can harm the other.
set -eu

create() {
  # Values reach SQL through psql's own quoting, so a password may hold any character.
  psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set "name=$1" --set "password=$2" <<'SQL'
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name";
SQL
}

create mlflow "$MLFLOW_DATABASE_PASSWORD"
create prefect "$PREFECT_DATABASE_PASSWORD"
