#!/bin/bash
# Whether the server answers. Over TCP: the entrypoint's temporary server answers on its socket only. With an
# account, so that no probe leaves a refused or broken connection in the server's log.
MYSQL_PWD=$(cat /run/secrets/db/reader-password)
export MYSQL_PWD
admin=$(command -v mariadb-admin || command -v mysqladmin)
exec "$admin" --no-defaults --protocol=tcp --host=127.0.0.1 --user=reader --connect-timeout=3 ping 2>&1
