#!/bin/bash
# Gives the account the password that the Secret has now. Run in the database's container:
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
    MYSQL_PWD=$2 "$client" --no-defaults "${quiet[@]}" --protocol=tcp --host=127.0.0.1 --user="$1"
}

for ((second = 0; second < patience; second++)); do
    password=$(cat "$file")
    # Only a password that is refused was changed: a server that is away or full says nothing about it.
    if ! said=$(sql pilotfish "$password" <<<'DO 1' 2>&1) && [[ $said == *'ERROR 1045'* ]]; then
        escaped=${password//\\/\\\\}
        escaped=${escaped//\'/\'\'}
        sql root "$root" <<<"ALTER USER 'pilotfish'@'127.0.0.1' IDENTIFIED BY '$escaped'"
        echo 'the account has the new password'
        exit 0
    fi
    sleep 1
done
echo "nothing to do: the password in $file is the account's, and did not change for $patience s"
