#!/bin/bash
# Gives the account the password that the Secret has now, and makes it where it is missing: a server that was
# there before pilotfish has run its initdb.d. Run in the database's container:
#   kubectl exec db-0 -c db -- bash /pilotfish-account/rotate.sh
# The kubelet needs a minute or two until a changed Secret reaches a running pod: this waits for it.
set -euo pipefail

file=/run/secrets/pilotfish/password
patience=${1:-300}

value_of() { # value_of NAME: of the variable, or of the file that NAME_FILE names
    local direct=$1 file=$1_FILE
    if [ -n "${!file:-}" ]; then cat "${!file}"; else printf %s "${!direct:-}"; fi
}

client=$(command -v mariadb || command -v mysql)
# Loopback; and a password of the environment is none to the MariaDB client, which would say so each time.
quiet=()
[ "${client##*/}" = mysql ] || quiet=(--skip-ssl-verify-server-cert)
root=$(value_of MARIADB_ROOT_PASSWORD)
[ -n "$root" ] || root=$(value_of MYSQL_ROOT_PASSWORD)

sql() { # sql USER PASSWORD: standard input, over the route that only a ready server has
    MYSQL_PWD=$2 "$client" --no-defaults "${quiet[@]}" --comments --protocol=tcp --host=127.0.0.1 --user="$1"
}

taken=
for ((second = 0; second < patience; second++)); do
    password=$(cat "$file")
    # Only a password that is refused was changed: a server that is away or full says nothing about it.
    if said=$(sql pilotfish "$password" <<<'DO 1' 2>&1); then
        taken=yes
    elif [[ $said == *'ERROR 1045'* ]]; then
        escaped=${password//\\/\\\\}
        escaped=${escaped//\'/\'\'}
        # What a client says of a statement that fails holds the statement, and so the password.
        if ! said=$({
            echo "CREATE USER IF NOT EXISTS 'pilotfish'@'127.0.0.1' IDENTIFIED BY '$escaped';"
            echo "ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY '$escaped';"
            cat "${0%/*}/grants.sql"
        } | sql root "$root" 2>&1); then
            printf 'root cannot change the account: %s\n' "$(grep -o 'ERROR [0-9]* ([^)]*)' <<<"$said" | head -n 1)" >&2
            exit 1
        fi
        echo 'the account has the new password'
        exit 0
    fi
    sleep 1
done
if [ -z "$taken" ]; then
    printf 'no login in %s s: %s\n' "$patience" "$(grep -o 'ERROR [0-9]* ([^)]*)' <<<"$said" | head -n 1)" >&2
    exit 1
fi
echo "nothing to do: the password in $file is the account's, and did not change for $patience s"
