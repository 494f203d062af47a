-- What pilotfish may do on PostgreSQL 15+. `app` is the live database: write your own name there. Before 15 the
-- schema is the superuser's, too: ALTER SCHEMA public OWNER TO pilotfish.
ALTER DATABASE app OWNER TO pilotfish;
-- For swaps of databases: makes one, and ends the sessions of readers.
ALTER ROLE pilotfish CREATEDB;
GRANT pg_signal_backend TO pilotfish;
-- Sees whose transaction a swap waits for.
GRANT pg_read_all_stats TO pilotfish;
