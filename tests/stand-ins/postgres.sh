#!/bin/bash
# shellcheck disable=SC2119,SC2120 # scripts of initdb.d call docker_process_sql with arguments
# Stands in for the entrypoint of the official postgres image, where no registry can be reached. It keeps its
# documented contract: *_FILE variables, POSTGRES_INITDB_ARGS, initdb.d (order, formats, x bit), a temporary server
# that listens on its socket only, clients on the network by their password.
set -eo pipefail
shopt -s nullglob

say() { echo "$(date --iso-8601=seconds) [entrypoint]: $*"; }
fail() { echo "$(date --iso-8601=seconds) [entrypoint]: error: $*" >&2; exit 1; }

# setting NAME DEFAULT: sets it, of itself or of the file that NAME_FILE names; both are a mistake.
setting() {
    local file=$1_FILE
    [ -z "${!1:-}" ] || [ -z "${!file:-}" ] || fail "both $1 and $file are set (but are exclusive)"
    [ -z "${!file:-}" ] || printf -v "$1" %s "$(cat "${!file}")"
    [ -n "${!1:-}" ] || printf -v "$1" %s "$2"
    export "${1?}"
    unset "$file"
}

docker_process_sql() {
    PGHOST='' PGHOSTADDR='' psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --no-password --no-psqlrc \
        --dbname="${database:-$POSTGRES_DB}" "$@"
}

make_data() {
    [ -n "$POSTGRES_PASSWORD" ] || [ "${POSTGRES_HOST_AUTH_METHOD:-}" = trust ] ||
        fail "Database is uninitialized and superuser password is not specified"
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA"
    # shellcheck disable=SC2086 # a list of words
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        ${POSTGRES_INITDB_ARGS:-}
    printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
}

run_scripts() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
        *.sh)
            if [ -x "$file" ]; then
                say "running $file" && "$file"
            else
                say "sourcing $file"
                # shellcheck disable=SC1090 # a user's
                . "$file"
            fi
            ;;
        *.sql) say "running $file" && docker_process_sql --file="$file" ;;
        *.sql.gz) say "running $file" && gunzip -c "$file" | docker_process_sql ;;
        *) say "ignoring $file" ;;
        esac
    done
}

[ "${1:0:1}" != - ] || set -- postgres "$@"
[ "$1" = postgres ] || exec "$@"
shift
set -- -c listen_addresses='*' "$@"

setting POSTGRES_PASSWORD ''
setting POSTGRES_USER postgres
setting POSTGRES_DB "$POSTGRES_USER"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    [ -z "$(ls -A /docker-entrypoint-initdb.d/)" ] || ls /docker-entrypoint-initdb.d/ >/dev/null
    make_data
    # Where the socket wants a password, too.
    export PGPASSWORD=$POSTGRES_PASSWORD
    pg_ctl --pgdata="$PGDATA" --wait start --options="-c listen_addresses=''"
    [ "$POSTGRES_DB" = postgres ] || database=postgres docker_process_sql --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name"'
    run_scripts
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
    unset PGPASSWORD
    say "PostgreSQL init process complete; ready for start up."
fi
exec postgres -D "$PGDATA" "$@"
