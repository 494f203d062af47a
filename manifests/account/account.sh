# shellcheck shell=bash
# Makes the account at first start. The official entrypoints source a script without x bit, and lend it
# docker_process_sql. In its own shell, so that nothing stays behind in theirs.
(
    password=$(cat /run/secrets/pilotfish/password)
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    # What the client says of a statement that fails holds the password.
    if ! said=$(docker_process_sql 2>&1 <<SQL
CREATE USER IF NOT EXISTS 'pilotfish'@'127.0.0.1' IDENTIFIED BY '$password';
SQL
    ); then
        echo "the account pilotfish was not made: $(grep -o 'ERROR [0-9]* ([^)]*)' <<<"$said" | head -n 1)" >&2
        exit 1
    fi
)
