#!/bin/bash
# shellcheck disable=SC2119,SC2120 # scripts of initdb.d call docker_process_sql with arguments
# Stands in for the entrypoint of the official mariadb and mysql images, where no registry can be reached.
# It keeps their documented contract: *_FILE variables, initdb.d (order, formats, x bit), a temporary server
# that answers on its socket only, then the real one with skip-name-resolve.
set -eo pipefail
shopt -s nullglob

datadir=/var/lib/mysql
socket=/run/mysqld/mysqld.sock

say() { echo "$(date --iso-8601=seconds) [Note] [Entrypoint]: $*"; }
fail() { echo "$(date --iso-8601=seconds) [ERROR] [Entrypoint]: $*" >&2; exit 1; }

# setting NAME: of MARIADB_NAME or MYSQL_NAME, or of the file that NAME_FILE names; both are a mistake.
setting() {
    local prefix direct file
    for prefix in MARIADB MYSQL; do
        direct=${prefix}_$1 file=${prefix}_$1_FILE
        [ -z "${!direct:-}" ] || [ -z "${!file:-}" ] || fail "both $direct and $file are set (but are exclusive)"
        if [ -n "${!direct:-}" ]; then printf %s "${!direct}" && return; fi
        if [ -n "${!file:-}" ]; then cat "${!file}" && return; fi
    done
}

docker_process_sql() {
    [ "${1:-}" != --dont-use-mysql-root-password ] || shift
    MYSQL_PWD=${root_password_set:-} "$client" --no-defaults --protocol=socket --socket="$socket" --user=root \
        --comments ${database:+--database="$database"} "$@"
}

make_data() {
    say "Initializing database files"
    if [ "$engine" = mariadb ]; then
        mariadb-install-db --no-defaults --datadir="$datadir" --skip-test-db --auth-root-authentication-method=normal \
            --skip-name-resolve >/dev/null
    else
        mysqld --no-defaults --initialize-insecure --datadir="$datadir"
    fi
}

start_temporary() {
    say "Starting temporary server"
    "$@" --skip-networking --socket="$socket" &
    temporary=$!
    for _ in {1..300}; do
        ! docker_process_sql <<<'SELECT 1' >/dev/null 2>&1 || return 0
        kill -0 "$temporary" || break
        sleep 0.1
    done
    fail "Unable to start server."
}

set_accounts() {
    local password=${root_password//\\/\\\\} host name user
    password=${password//\'/\'\'}
    host=$(setting ROOT_HOST)
    host=${host:-%}
    # mysqld makes no other accounts; mariadb-install-db does.
    [ "$engine" = mysql ] || docker_process_sql <<SQL
DELETE FROM mysql.global_priv WHERE User IN ('', 'root') AND Host != 'localhost';
FLUSH PRIVILEGES;
SQL
    docker_process_sql <<SQL
ALTER USER 'root'@'localhost' IDENTIFIED BY '$password';
CREATE USER 'root'@'$host' IDENTIFIED BY '$password';
GRANT ALL ON *.* TO 'root'@'$host' WITH GRANT OPTION;
SQL
    root_password_set=$root_password
    name=$(setting DATABASE)
    [ -z "$name" ] || docker_process_sql <<<"CREATE DATABASE IF NOT EXISTS \`$name\`"
    user=$(setting USER)
    [ -z "$user" ] || docker_process_sql <<SQL
CREATE USER '$user'@'%' IDENTIFIED BY '$(setting PASSWORD)';
GRANT ALL ON \`${name//_/\\_}\`.* TO '$user'@'%';
SQL
    database=$name
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
        *.sql) say "running $file" && docker_process_sql <"$file" ;;
        *.sql.bz2) say "running $file" && bunzip2 -c "$file" | docker_process_sql ;;
        *.sql.gz) say "running $file" && gunzip -c "$file" | docker_process_sql ;;
        *.sql.xz) say "running $file" && xzcat "$file" | docker_process_sql ;;
        *.sql.zst) say "running $file" && zstd -dc "$file" | docker_process_sql ;;
        *) say "ignoring $file" ;;
        esac
    done
}

if command -v mariadbd >/dev/null; then engine=mariadb server=mariadbd client=mariadb; else engine=mysql server=mysqld client=mysql; fi
[ "${1:0:1}" != - ] || set -- "$server" "$@"
[ "$1" = "$server" ] || [ "$1" = mysqld ] || exec "$@"
shift
set -- "$server" --defaults-file=/etc/docker.cnf --datadir="$datadir" --socket="$socket" "$@"

if [ ! -d "$datadir/mysql" ]; then
    [ -z "$(ls -A /docker-entrypoint-initdb.d/)" ] || ls /docker-entrypoint-initdb.d/ >/dev/null
    root_password=$(setting ROOT_PASSWORD)
    [ -n "$root_password" ] || fail "Database is uninitialized and password option is not specified"
    make_data
    start_temporary "$@"
    set_accounts
    run_scripts
    say "Stopping temporary server"
    kill "$temporary"
    wait "$temporary" || true
    say "init process done. Ready for start up."
fi
exec "$@"
