#!/bin/bash
# Gives the account the password that the Secret has now, and makes it where it is missing: a server that was
# there before pilotfish has run its initdb.d. Run in the database's container:
#   kubectl exec db-0 -c db -- bash /pilotfish-account/rotate.sh
# The kubelet needs a minute or two until a changed Secret reaches a running pod: this waits for it.
set -euo pipefail

file=/run/secrets/pilotfish/password
patience=${1:-300}

root=${POSTGRES_PASSWORD:-}
[ -z "${POSTGRES_PASSWORD_FILE:-}" ] || root=$(cat "$POSTGRES_PASSWORD_FILE")
superuser=${POSTGRES_USER:-postgres}

sql() { # sql USER PASSWORD: standard input, over the route that only a ready server has
    PGPASSWORD=$2 PGCONNECT_TIMEOUT=5 psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --set=VERBOSITY=sqlstate \
        --host=127.0.0.1 --username="$1" --dbname="${POSTGRES_DB:-$superuser}"
}

# What a client says of a statement that fails may hold the statement, and so the password.
cause() {
    grep -oE 'ERROR:  [0-9A-Z]+|FATAL:  .*|connection to server .*' <<<"$1" | head -n 1
}

taken=
for ((second = 0; second < patience; second++)); do
    password=$(cat "$file")
    # Only a password that is refused was changed: a server that is away or full says nothing about it.
    if said=$(sql pilotfish "$password" <<<'SELECT' 2>&1); then
        taken=yes
    elif [[ $said == *'password authentication failed'* ]]; then
        if ! said=$({
            echo 'SET log_min_error_statement = panic;'
            echo "SELECT 'CREATE ROLE pilotfish LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pilotfish') \\gexec"
            echo "ALTER ROLE pilotfish LOGIN PASSWORD '${password//\'/\'\'}';"
            cat "${0%/*}/grants.sql"
        } | sql "$superuser" "$root" 2>&1); then
            printf 'root cannot change the account: %s\n' "$(cause "$said")" >&2
            exit 1
        fi
        echo 'the account has the new password'
        exit 0
    fi
    sleep 1
done
if [ -z "$taken" ]; then
    printf 'no login in %s s: %s\n' "$patience" "$(cause "$said")" >&2
    exit 1
fi
echo "nothing to do: the password in $file is the account's, and did not change for $patience s"
