# shellcheck shell=bash
# Makes the account at first start. The official entrypoint sources a script without x bit, and lends it
# docker_process_sql. In its own shell, so that nothing stays behind in its.
(
    password=$(cat /run/secrets/pilotfish/password)
    password=${password//\'/\'\'}
    # A statement that fails holds the password: it must stand neither in the server's log nor in ours.
    if ! said=$(docker_process_sql 2>&1 <<SQL
\set VERBOSITY sqlstate
SET log_min_error_statement = panic;
CREATE ROLE pilotfish LOGIN PASSWORD '$password';
SQL
    ); then
        echo "the account pilotfish was not made: $(grep -o 'ERROR:  [0-9A-Z]*' <<<"$said" | head -n 1)" >&2
        exit 1
    fi
)
