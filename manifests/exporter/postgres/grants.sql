-- What the exporter may do on PostgreSQL 15+: see settings, statistics and sizes, and read no tables but the server's own
-- and those of pilotfish's ledger. The role first, which may never hold more sessions than it needs:
--   CREATE ROLE exporter LOGIN PASSWORD '<password>' CONNECTION LIMIT 4;
GRANT pg_monitor TO exporter;
-- Sees which release is live, in the database that this is run in. Where whole databases are swapped the ledger comes
-- anew with each of them, and the exporter says that it cannot read it.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'pilotfish') THEN
        CREATE SCHEMA IF NOT EXISTS pilotfish AUTHORIZATION pilotfish;
        GRANT USAGE ON SCHEMA pilotfish TO exporter;
        GRANT SELECT ON ALL TABLES IN SCHEMA pilotfish TO exporter;
        ALTER DEFAULT PRIVILEGES FOR ROLE pilotfish IN SCHEMA pilotfish GRANT SELECT ON TABLES TO exporter;
    END IF;
END
$$;
