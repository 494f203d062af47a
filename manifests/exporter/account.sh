# shellcheck shell=bash
# Makes the account `exporter`, or gives it the password that the Secret has now. The official entrypoints source a
# script without x bit at first start, and lend it docker_process_sql; on a server that is there already, run it:
#   kubectl exec db-0 -c db -- bash /pilotfish-exporter/account.sh
# The kubelet needs a minute or two until a changed Secret reaches a running pod.
# In its own shell, so that nothing stays behind in theirs.
(
    value_of() { # value_of NAME: of the variable, or of the file that NAME_FILE names
        local direct=$1 file=$1_FILE
        if [ -n "${!file:-}" ]; then cat "${!file}"; else printf %s "${!direct:-}"; fi
    }

    if ! declare -F docker_process_sql >/dev/null; then
        docker_process_sql() { # as root, over the route that only a ready server has
            local client root
            client=$(command -v mariadb || command -v mysql)
            # Loopback; and a password of the environment is none to the MariaDB client, which would say so each time.
            [ "${client##*/}" = mysql ] || set -- --skip-ssl-verify-server-cert
            root=$(value_of MARIADB_ROOT_PASSWORD)
            [ -n "$root" ] || root=$(value_of MYSQL_ROOT_PASSWORD)
            MYSQL_PWD=$root "$client" --no-defaults "$@" --comments --protocol=tcp --host=127.0.0.1 --user=root
        }
    fi

    password=$(cat /run/secrets/pilotfish-exporter/password) || exit 1
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    # What the client says of a statement that fails holds the password.
    if ! said=$(docker_process_sql 2>&1 <<SQL
CREATE USER IF NOT EXISTS 'exporter'@'127.0.0.1' IDENTIFIED BY '$password';
ALTER USER 'exporter'@'127.0.0.1' IDENTIFIED BY '$password' WITH MAX_USER_CONNECTIONS 4;
$(cat /pilotfish-exporter/grants.sql)
SQL
    ); then
        echo "the account exporter was not made: $(grep -o 'ERROR [0-9]* ([^)]*)' <<<"$said" | head -n 1)" >&2
        exit 1
    fi
    echo 'the account exporter has the password of the Secret'
)
