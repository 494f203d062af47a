# shellcheck shell=bash
# The account of the clients: made at first start, allowed to read and nothing else. Each release has new tables,
# so it is told to whom those belong: without IN SCHEMA, since schemas change places.
(
    password=$(cat /run/secrets/db/reader-password)
    docker_process_sql <<SQL
CREATE ROLE reader LOGIN PASSWORD '${password//\'/\'\'}';
ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish GRANT SELECT ON TABLES TO reader;
SQL
)
