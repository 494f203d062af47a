//! Every server that can load keeps the promises of `Load`.

use pilotfish_harness::ServerKind;

use super::fixture::MysqlFamily;

/// The suites against one server: those that want a fresh one on their own, the others together.
macro_rules! conforms {
    ($($server:ident: $fixture:expr;)+) => {$(
        mod $server {
            use pilotfish_engine::conformance::{
                books, check, drift, lock, objects, recovery, rows, stage, swap, tables, way_back,
            };

            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn locks() {
                lock::run(&$fixture.await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn keeps_books() {
                books::run(&$fixture.await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fills_a_stage_by_streams() {
                let fixture = $fixture.await;
                stage::run(&fixture).await;
                rows::run(&fixture).await;
                tables::run(&fixture).await;
                check::run(&fixture).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn swaps() {
                let fixture = $fixture.await;
                swap::run(&fixture).await;
                objects::run(&fixture).await;
                drift::run(&fixture).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn goes_back_and_recovers() {
                let fixture = $fixture.await;
                way_back::run(&fixture).await;
                recovery::run(&fixture).await;
            }
        }
    )+};
}

/// Where the server does not let rows come by streams.
macro_rules! conforms_by_inserts {
    ($($server:ident: $fixture:expr;)+) => {$(
        mod $server {
            use pilotfish_engine::conformance::{rows, stage, tables};

            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fills_a_stage_by_inserts() {
                let fixture = $fixture.await;
                stage::run(&fixture).await;
                rows::run(&fixture).await;
                tables::run(&fixture).await;
            }
        }
    )+};
}

conforms! {
    mariadb_10_11: MysqlFamily::start(ServerKind::MariaDb1011, true);
    mariadb_11_8: MysqlFamily::start(ServerKind::MariaDb118, true);
    mysql_9_7: MysqlFamily::start(ServerKind::MySql97, true);
}

conforms_by_inserts! {
    mariadb_10_11_without_infile: MysqlFamily::start(ServerKind::MariaDb1011, false);
    mariadb_11_8_without_infile: MysqlFamily::start(ServerKind::MariaDb118, false);
    mysql_9_7_without_infile: MysqlFamily::start(ServerKind::MySql97, false);
}
