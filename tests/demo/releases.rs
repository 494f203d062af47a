//! The data team: makes two releases of an open-data set and puts them into a bucket.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use pilotfish_harness::{S3, Server, ServerKind, World, tpch};

pub(crate) const BUCKET: &str = "open-data";
/// Where the dumps lie in the bucket.
pub(crate) const PREFIX: &str = "dumps";

/// What the readers check: `edition` and every row of `nation` name the release they belong to.
/// Tables tied by foreign keys are swapped together, so those that v2 changes are untied here:
/// the others can then be seen to stay untouched.
const FIRST: &str = "
    ALTER TABLE nation DROP FOREIGN KEY nation_ibfk_1;
    ALTER TABLE supplier DROP FOREIGN KEY supplier_ibfk_1;
    ALTER TABLE customer DROP FOREIGN KEY customer_ibfk_1;
    ALTER TABLE orders DROP FOREIGN KEY orders_ibfk_1;
    CREATE TABLE edition (number INT PRIMARY KEY);
    INSERT INTO edition VALUES (1);
    CREATE TABLE legacy_rates (code CHAR(3) PRIMARY KEY, rate DECIMAL(10,4) NOT NULL);
    INSERT INTO legacy_rates VALUES ('DEM', 1.9558), ('FRF', 6.5596), ('ITL', 1936.2700);
    UPDATE nation SET n_comment = 'edition 1';";
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
    source: Server,
    folder: PathBuf,
}

impl Publisher {
    /// Fills the source with the first release.
    pub(crate) fn new(kind: ServerKind, world: &World, scale: &str) -> Self {
        let source = Server::start(kind, world, &["--local-infile=ON"]);
        source.sql("CREATE DATABASE app");
        source.sql_file("app", &tpch::dump(kind, scale));
        source.sql(&format!("USE app; {FIRST}"));
        let publisher = Self {
            source,
            folder: world.path().to_owned(),
        };
        publisher.dump("v1");
        publisher
    }

    /// The stock client's time for v1, on an empty server with the settings of the demo's own.
    pub(crate) fn client_seconds(&self, world: &World) -> f64 {
        let server = Server::start(self.source.kind(), world, &["--local-infile=ON"]);
        server.sql("CREATE DATABASE app");
        let start = Instant::now();
        server.sql_file("app", &self.path("v1"));
        start.elapsed().as_secs_f64()
    }

    /// Publishes v1 and says what it is.
    pub(crate) fn publish_first(&self, s3: &S3) -> String {
        let tables = self.put(s3, "v1");
        format!("{tables}, one of them soon to go")
    }

    /// Publishes v2 and says what it is.
    pub(crate) fn publish_second(&self, s3: &S3) -> String {
        self.source.sql(&format!("USE app; {SECOND}"));
        self.dump("v2");
        let tables = self.put(s3, "v2");
        format!("{tables}: rows changed in 3, 1 new, 1 gone")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.sql"))
    }

    fn dump(&self, name: &str) {
        let gtid: &[&str] = if self.source.kind().is_mariadb() {
            &[]
        } else {
            &["--set-gtid-purged=OFF"]
        };
        self.source.dump_to("app", gtid, &self.path(name));
    }

    fn put(&self, s3: &S3, name: &str) -> String {
        let dump = self.path(name);
        let packed = compress(&dump);
        let key = format!("{PREFIX}/{name}.sql.zst");
        s3.put_file(BUCKET, &key, &packed);
        let tables = self.source.sql("SHOW TABLES FROM app").lines().count();
        format!(
            "s3://{BUCKET}/{key}, {tables} tables, {} MB ({} MB unpacked)",
            megabytes(&packed),
            megabytes(&dump)
        )
    }
}

/// Rows of a live table.
pub(crate) fn count(server: &Server, table: &str) -> u64 {
    let answer = server.sql(&format!("SELECT COUNT(*) FROM app.{table}"));
    answer.trim().parse().expect("a count is a number")
}

fn compress(file: &Path) -> PathBuf {
    let packed = file.with_extension("sql.zst");
    let status = Command::new("zstd")
        .args(["-q", "-f", "-3", "-o"])
        .args([&packed, file])
        .status()
        .expect("run zstd: install it by `./x setup`");
    assert!(status.success(), "zstd failed");
    packed
}

fn megabytes(file: &Path) -> u64 {
    std::fs::metadata(file)
        .expect("a file's size")
        .len()
        .div_ceil(1_000_000)
}
