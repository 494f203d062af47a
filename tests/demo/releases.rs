//! The data team: makes two releases of an open-data set and puts them into a bucket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pilotfish_harness::{S3, World};

use crate::database::{Database, Engine};

pub(crate) const BUCKET: &str = "open-data";
/// Where the dumps lie in the bucket.
pub(crate) const PREFIX: &str = "dumps";

/// What the readers check: `edition` and every row of `nation` name the release they belong to.
const FIRST: &str = "
    CREATE TABLE edition (number INT PRIMARY KEY);
    INSERT INTO edition VALUES (1);
    CREATE TABLE legacy_rates (code CHAR(3) PRIMARY KEY, rate DECIMAL(10,4) NOT NULL);
    INSERT INTO legacy_rates VALUES ('DEM', 1.9558), ('FRF', 6.5596), ('ITL', 1936.2700);
    UPDATE nation SET n_comment = 'edition 1';";
/// MariaDB and MySQL swap tables that are tied by foreign keys together, so those that v2 changes are untied here:
/// the others can then be seen to stay untouched.
const UNTIED: &str = "
    ALTER TABLE nation DROP FOREIGN KEY nation_ibfk_1;
    ALTER TABLE supplier DROP FOREIGN KEY supplier_ibfk_1;
    ALTER TABLE customer DROP FOREIGN KEY customer_ibfk_1;
    ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;";
const SECOND: &str = "
    UPDATE edition SET number = 2;
    UPDATE nation SET n_comment = 'edition 2';
    UPDATE customer SET c_acctbal = c_acctbal + 1 WHERE c_custkey % 10 = 0;
    CREATE TABLE promotion (id INT PRIMARY KEY, title VARCHAR(100) NOT NULL);
    INSERT INTO promotion VALUES (1, 'pilot fish week'), (2, 'remora days');
    DROP TABLE legacy_rates;";

/// The data team's own server, and the releases made on it.
#[derive(Debug)]
pub(crate) struct Publisher {
    source: Database,
    first: PathBuf,
    folder: PathBuf,
    /// The stock client's time for v1, on an empty server with the settings of the demo's own.
    pub(crate) client_seconds: f64,
}

impl Publisher {
    /// The stock client fills the data team's server with v1.
    pub(crate) fn new(engine: Engine, world: &World, scale: &str) -> Self {
        let amendment = match engine {
            Engine::Postgres => FIRST.to_owned(),
            Engine::Mariadb | Engine::Mysql => format!("{UNTIED}{FIRST}"),
        };
        let source = Database::start(engine, world);
        let first = source.tpch(scale, &amendment, world);
        let start = Instant::now();
        source.fill(&first);
        let client_seconds = start.elapsed().as_secs_f64();
        Self {
            source,
            first,
            folder: world.path().to_owned(),
            client_seconds,
        }
    }

    /// Publishes v1 and says what it is.
    pub(crate) fn publish_first(&self, s3: &S3) -> String {
        let tables = self.put(s3, "v1", &self.first);
        format!("{tables}, one of them soon to go")
    }

    /// Publishes v2 and says what it is.
    pub(crate) fn publish_second(&self, s3: &S3) -> String {
        self.source.change(SECOND);
        let dump = self.folder.join("v2.sql");
        self.source.dump_to(&dump);
        let tables = self.put(s3, "v2", &dump);
        format!("{tables}: rows changed in 3, 1 new, 1 gone")
    }

    fn put(&self, s3: &S3, name: &str, dump: &Path) -> String {
        let packed = self.folder.join(format!("{name}.sql.zst"));
        compress(dump, &packed);
        let key = format!("{PREFIX}/{name}.sql.zst");
        s3.put_file(BUCKET, &key, &packed);
        let tables = self.source.tables();
        format!(
            "s3://{BUCKET}/{key}, {tables} tables, {} MB ({} MB unpacked)",
            megabytes(&packed),
            megabytes(dump)
        )
    }
}

fn compress(file: &Path, packed: &Path) {
    let status = Command::new("zstd")
        .args(["-q", "-f", "-3", "-o"])
        .args([packed, file])
        .status()
        .expect("run zstd: install it by `./x setup`");
    assert!(status.success(), "zstd failed");
}

fn megabytes(file: &Path) -> u64 {
    std::fs::metadata(file)
        .expect("a file's size")
        .len()
        .div_ceil(1_000_000)
}
