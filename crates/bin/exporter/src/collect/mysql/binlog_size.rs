//! Binary logs that the server has: how many, how large, and the number of the newest.

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Rows, Session};

use super::{Collect, Collector, Plan};
use crate::metric::{Gathered, Labels};

const IS_ON: &str = "SELECT @@global.log_bin";
/// An error where there is no binary log.
const SQL: &str = "SHOW BINARY LOGS";

pub(super) static COLLECTOR: Collector = Collector {
    name: "binlog_size",
    by_default: false,
    help: "number and size of binary logs",
    settings: &[],
    plan: |_, _| Some(Plan::server(BinlogSize)),
};

struct BinlogSize;

#[async_trait]
impl Collect for BinlogSize {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let is_on = session.rows(IS_ON).await?;
        if is_on.iter().next().and_then(|row| row.at(0)) == Some("1") {
            gather(&session.rows(SQL).await?, into);
        }
        Ok(())
    }
}

fn gather(rows: &Rows, into: &mut Gathered) {
    let sizes = rows.iter().filter_map(|row| row.at(1)?.parse::<u64>().ok());
    into.gauge(
        "mysql_binlog_size_bytes",
        "Size of all binary logs.",
        Labels::none(),
        sizes.sum::<u64>() as f64,
    );
    into.gauge(
        "mysql_binlog_files",
        "Number of binary logs.",
        Labels::none(),
        rows.iter().count() as f64,
    );
    let newest = rows.iter().last().and_then(|row| row.at(0));
    if let Some(number) = newest.and_then(number) {
        into.gauge(
            "mysql_binlog_file_number",
            "Number of the newest binary log.",
            Labels::none(),
            number,
        );
    }
}

/// Of `mysql-bin.000123`.
fn number(file: &str) -> Option<f64> {
    file.rsplit_once('.')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_numbers() {
        assert_eq!(number("mysql-bin.000123"), Some(123.0));
        assert_eq!(number("db1.example.org-bin.000007"), Some(7.0));
        assert_eq!(number("mysql-bin"), None);
    }

    #[test]
    fn no_file_is_no_number() {
        let mut gathered = Gathered::default();
        gather(&Rows::default(), &mut gathered);
        let names: Vec<&str> = gathered.families().map(|(name, _)| name).collect();
        assert_eq!(names, ["mysql_binlog_files", "mysql_binlog_size_bytes"]);
    }
}
