# shellcheck shell=bash
# Makes the role `exporter`, or gives it the password that the Secret has now. The official entrypoint sources a
# script without x bit at first start, and lends it docker_process_sql; on a server that is there already, run it:
#   kubectl exec db-0 -c db -- bash /pilotfish-exporter/account.sh
# The kubelet needs a minute or two until a changed Secret reaches a running pod.
# In its own shell, so that nothing stays behind in its.
(
    if ! declare -F docker_process_sql >/dev/null; then
        docker_process_sql() { # as the superuser, over the route that only a ready server has
            local root=${POSTGRES_PASSWORD:-} superuser=${POSTGRES_USER:-postgres}
            [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || root=$(cat "$POSTGRES_PASSWORD_FILE")
            PGPASSWORD=$root PGCONNECT_TIMEOUT=5 psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 \
                --host=127.0.0.1 --username="$superuser" --dbname="${POSTGRES_DB:-$superuser}"
        }
    fi

    password=$(cat /run/secrets/pilotfish-exporter/password) || exit 1
    password=${password//\'/\'\'}
    # A statement that fails holds the password: it must stand neither in the server's log nor in ours.
    if ! said=$(docker_process_sql 2>&1 <<SQL
\set VERBOSITY sqlstate
SET client_min_messages = warning;
SET log_min_error_statement = panic;
SELECT 'CREATE ROLE exporter LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'exporter') \gexec
ALTER ROLE exporter LOGIN PASSWORD '$password' CONNECTION LIMIT 4;
$(cat /pilotfish-exporter/grants.sql)
SQL
    ); then
        echo "the account exporter was not made: $(grep -oE 'ERROR:  [0-9A-Z]+|FATAL:  .*|connection to server .*' <<<"$said" | head -n 1)" >&2
        exit 1
    fi
    echo 'the account exporter has the password of the Secret'
)
