//! Readers with pooled connections and prepared statements see no error, no mix and no empty table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pilotfish_harness::{Postgres, PostgresKind, World, short_or_long};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};

use super::{load, release_no, two_releases};

/// How a reader asks; each looks at several tables that always tell one release.
#[derive(Debug, Clone, Copy)]
enum Reads {
    /// One statement over both tables, committed by itself.
    Join,
    /// READ COMMITTED: first one table, then the other.
    OneByOne,
    /// READ COMMITTED: a table, then the materialised view over it.
    Derived,
    /// REPEATABLE READ: a snapshot from before it knows of any table.
    Repeatably,
}

const ALL: [Reads; 4] = [
    Reads::Join,
    Reads::OneByOne,
    Reads::Derived,
    Reads::Repeatably,
];

const JOIN: &str = "SELECT count(*), min(least(a.release_no, b.release_no)), max(greatest(a.release_no, b.release_no))
    FROM public.a JOIN app.b USING (id)";
const OF_A: &str = "SELECT count(*), min(release_no), max(release_no) FROM public.a";
const OF_B: &str = "SELECT count(*), min(release_no), max(release_no) FROM app.b";
const OF_SUMMED: &str =
    "SELECT sum(count)::bigint, min(release_no), max(release_no) FROM app.summed";

/// A connection that keeps its statements, as pools do.
struct Connection {
    client: Client,
    join: Statement,
    of_a: Statement,
    of_b: Statement,
    of_summed: Statement,
}

impl Connection {
    async fn open(settings: &str) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(settings, NoTls).await?;
        // Its error is the client's, too.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self {
            join: client.prepare(JOIN).await?,
            of_a: client.prepare(OF_A).await?,
            of_b: client.prepare(OF_B).await?,
            of_summed: client.prepare(OF_SUMMED).await?,
            client,
        })
    }

    /// What one turn of a reader sees: rows of `count, min, max`.
    async fn read(&self, how: Reads) -> Result<Vec<Row>, Error> {
        let (begin, statements): (_, &[&Statement]) = match how {
            Reads::Join => return Ok(vec![self.client.query_one(&self.join, &[]).await?]),
            Reads::OneByOne => ("BEGIN", &[&self.of_a, &self.of_b]),
            Reads::Derived => ("BEGIN", &[&self.of_a, &self.of_summed]),
            Reads::Repeatably => (
                "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1",
                &[&self.of_a, &self.of_b, &self.of_summed],
            ),
        };
        self.client.batch_execute(begin).await?;
        let mut rows = Vec::new();
        for statement in statements {
            // Room for a swap between any two steps.
            tokio::time::sleep(Duration::from_millis(1)).await;
            rows.push(self.client.query_one(*statement, &[]).await?);
        }
        self.client.batch_execute("COMMIT").await?;
        Ok(rows)
    }
}

/// Whether all rows tell of one release and none of an empty table.
fn is_whole(rows: &[Row]) -> bool {
    let told: Option<Vec<[i32; 2]>> = rows
        .iter()
        .map(|row| {
            let count: Option<i64> = row.get(0);
            let ends: [Option<i32>; 2] = [row.get(1), row.get(2)];
            (count? >= 500).then_some([ends[0]?, ends[1]?])
        })
        .collect();
    told.is_some_and(|told| {
        told.iter()
            .all(|[least, most]| least == most && *least == told[0][0])
    })
}

/// What all readers count together.
#[derive(Debug, Default)]
struct Counts {
    stop: AtomicBool,
    reads: AtomicU64,
    lost: AtomicU64,
    longest: AtomicU64,
}

struct Readers {
    runtime: Runtime,
    counts: Arc<Counts>,
    tasks: Vec<JoinHandle<Vec<String>>>,
}

impl Readers {
    /// `may_be_cut` is what the swap of databases does to connections; nobody else may.
    fn start(server: &Postgres, may_be_cut: bool) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let settings = format!(
            "host={} port={} user=reader dbname=app",
            server.socket_folder().display(),
            server.port()
        );
        let counts = Arc::<Counts>::default();
        let tasks = ALL
            .iter()
            .cycle()
            .take(8)
            .map(|how| {
                let reader = reader(settings.clone(), *how, may_be_cut, Arc::clone(&counts));
                runtime.spawn(reader)
            })
            .collect();
        Self {
            runtime,
            counts,
            tasks,
        }
    }

    /// Everything that was not one whole release.
    fn end(self) -> Vec<String> {
        self.counts.stop.store(true, Ordering::Relaxed);
        let mut bad = Vec::new();
        for task in self.tasks {
            bad.extend(self.runtime.block_on(task).expect("a reader"));
        }
        let counts = &self.counts;
        let longest = Duration::from_micros(counts.longest.load(Ordering::Relaxed));
        eprintln!(
            "{} reads by 8 readers, {} connections lost, longest wait for an answer {longest:?}",
            counts.reads.load(Ordering::Relaxed),
            counts.lost.load(Ordering::Relaxed),
        );
        bad
    }
}

async fn reader(
    settings: String,
    how: Reads,
    may_be_cut: bool,
    counts: Arc<Counts>,
) -> Vec<String> {
    let mut bad = Vec::new();
    let mut connection = None;
    let mut asked = Instant::now();
    while !counts.stop.load(Ordering::Relaxed) {
        let outcome = match connection.take() {
            Some(open) => turn(open, how).await,
            None => match Connection::open(&settings).await {
                Ok(open) => turn(open, how).await,
                Err(error) => Err(error),
            },
        };
        match outcome {
            Ok((open, rows)) => {
                connection = Some(open);
                counts.reads.fetch_add(1, Ordering::Relaxed);
                let took = u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX);
                counts.longest.fetch_max(took, Ordering::Relaxed);
                asked = Instant::now();
                if !is_whole(&rows) {
                    bad.push(format!("{how:?}: {rows:?}"));
                }
            }
            Err(error) if may_be_cut && is_a_lost_connection(&error) => {
                counts.lost.fetch_add(1, Ordering::Relaxed);
                if asked.elapsed() > Duration::from_secs(2) {
                    bad.push(format!("{how:?}: not served again: {error}"));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => {
                bad.push(format!("{how:?}: {error:?}"));
                asked = Instant::now();
            }
        }
    }
    bad
}

async fn turn(open: Connection, how: Reads) -> Result<(Connection, Vec<Row>), Error> {
    let rows = open.read(how).await?;
    Ok((open, rows))
}

/// Ended by an administrator, or not let in while the databases change names.
fn is_a_lost_connection(error: &Error) -> bool {
    let lost = [
        SqlState::ADMIN_SHUTDOWN,
        // Who comes at the very moment of the rename finds the name gone, and comes again.
        SqlState::UNDEFINED_DATABASE,
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
    ];
    error.is_closed() || error.code().is_some_and(|code| lost.contains(code))
}

fn swaps_under_readers(kind: PostgresKind, swap: &str, swaps: usize) {
    let world = World::new();
    let server = Postgres::start(kind, &world, &[]);
    // It renames databases and ends sessions of others.
    server.sql(
        "postgres",
        "ALTER ROLE pilotfish CREATEDB; GRANT pg_signal_backend TO pilotfish",
    );
    let (first, second) = two_releases(&world, &server);
    let run = |dump| load(&server).arg(dump).arg(swap).run().success();
    let _ = run(&first);
    // No superuser: nobody but one may end a superuser's session.
    server.sql(
        "postgres",
        "CREATE ROLE reader LOGIN IN ROLE pg_read_all_data",
    );
    let readers = Readers::start(&server, swap == "--swap=database");
    let started = Instant::now();
    for turn in 0..swaps {
        let (dump, release) = [(&second, "2"), (&first, "1")][turn % 2];
        let done = run(dump);
        assert_eq!(release_no(&server), release, "{done}");
        if swap == "--swap=database" {
            assert!(done.stderr.contains("outage"), "no outage is told: {done}");
        }
    }
    eprintln!("{swaps} swaps in {:.0?}", started.elapsed());
    assert_eq!(readers.end(), Vec::<String>::new());
}

#[test]
fn swaps_of_schemas_on_15_show_no_error_no_mix_and_no_empty_table() {
    swaps_under_readers(
        PostgresKind::Postgres15,
        "--swap=schema",
        short_or_long(20, 1000),
    );
}

#[test]
fn swaps_of_schemas_on_18_show_no_error_no_mix_and_no_empty_table() {
    swaps_under_readers(
        PostgresKind::Postgres18,
        "--swap=schema",
        short_or_long(20, 1000),
    );
}

#[test]
fn swaps_of_databases_cost_connections_and_nothing_else() {
    for kind in PostgresKind::all() {
        swaps_under_readers(kind, "--swap=database", short_or_long(10, 200));
    }
}
