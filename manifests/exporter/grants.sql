-- What the exporter may do on MariaDB 10.6+ and MySQL 8.0+: look at the server, and read no tables but the server's own
-- and those of pilotfish's ledger. The account first, which may never hold more sessions than it needs:
--   CREATE USER 'exporter'@'127.0.0.1' IDENTIFIED BY '<password>' WITH MAX_USER_CONNECTIONS 4;
-- Sees all sessions, and what InnoDB does.
GRANT PROCESS ON *.* TO 'exporter'@'127.0.0.1';
-- Sees what performance_schema counts, where it is on.
GRANT SELECT ON performance_schema.* TO 'exporter'@'127.0.0.1';
-- Sees which release is live. There need be no such database.
GRANT SELECT ON `pilotfish`.* TO 'exporter'@'127.0.0.1';
-- Sees the state of replication, and how much the binary logs take.
/*M!100502 GRANT SLAVE MONITOR, BINLOG MONITOR ON *.* TO 'exporter'@'127.0.0.1' */;
/*!80000 GRANT REPLICATION CLIENT ON *.* TO 'exporter'@'127.0.0.1' */;
-- Collectors that are off by default and want more:
--   info_schema.tables, auto_increment.columns   SELECT ON `app%`.*, of the databases that they shall show
--   mysql.user                                   SELECT ON mysql.*
--   sys.user_summary                             SELECT, EXECUTE ON sys.*
--   heartbeat                                    SELECT ON heartbeat.heartbeat
--   slave_hosts                                  REPLICATION MASTER ADMIN ON *.*, on MySQL REPLICATION SLAVE
