//! Every server that can load keeps the promises of `Load`.

use pilotfish_engine::conformance::{
    books, check, drift, lock, objects, recovery, rows, stage, swap, tables, way_back,
};
use pilotfish_harness::ServerKind;

use super::fixture::MysqlFamily;

/// The suites against one server: those that want a fresh one on their own, the others together.
macro_rules! conforms {
    ($($server:ident: $kind:ident;)+) => {$(
        mod $server {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn locks() {
                lock::run(&MysqlFamily::start(ServerKind::$kind, true).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn keeps_books() {
                books::run(&MysqlFamily::start(ServerKind::$kind, true).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fills_a_stage_by_streams() {
                let fixture = MysqlFamily::start(ServerKind::$kind, true).await;
                stage::run(&fixture).await;
                rows::run(&fixture).await;
                tables::run(&fixture).await;
                check::run(&fixture).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn fills_a_stage_by_inserts() {
                let fixture = MysqlFamily::start(ServerKind::$kind, false).await;
                stage::run(&fixture).await;
                rows::run(&fixture).await;
                tables::run(&fixture).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn swaps() {
                let fixture = MysqlFamily::start(ServerKind::$kind, true).await;
                swap::run(&fixture).await;
                objects::run(&fixture).await;
                drift::run(&fixture).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn goes_back_and_recovers() {
                let fixture = MysqlFamily::start(ServerKind::$kind, true).await;
                way_back::run(&fixture).await;
                recovery::run(&fixture).await;
            }
        }
    )+};
}

conforms! {
    mariadb_10_11: MariaDb1011;
    mariadb_11_8: MariaDb118;
    mysql_9_7: MySql97;
}
