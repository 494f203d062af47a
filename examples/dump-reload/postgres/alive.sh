#!/bin/bash
# Whether the server answers. Over TCP: the entrypoint's temporary server listens on its socket only.
exec pg_isready --quiet --host=127.0.0.1 --dbname=app --username=reader --timeout=3
