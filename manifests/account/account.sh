# shellcheck shell=bash
# Makes the account at first start. The official entrypoints source a script without x bit, and lend it
# docker_process_sql. In its own shell, so that nothing stays behind in theirs.
(
    password=$(cat /run/secrets/pilotfish/password)
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    docker_process_sql <<SQL
CREATE USER IF NOT EXISTS 'pilotfish'@'127.0.0.1' IDENTIFIED BY '$password';
SQL
)
