# shellcheck shell=bash
# The account of the clients: made at first start, allowed to read and nothing else.
(
    password=$(cat /run/secrets/db/reader-password)
    password=${password//\\/\\\\}
    password=${password//\'/\'\'}
    docker_process_sql <<SQL
CREATE USER IF NOT EXISTS 'reader'@'%' IDENTIFIED BY '$password';
GRANT SELECT ON \`app%\`.* TO 'reader'@'%';
SQL
)
