//! Dumps of which few rows differ: changed in place, with the very rows that a load of whole tables leaves.

mod others;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pilotfish_harness::{
    Finished, Postgres, PostgresKind, Running, World, canonical_dump, seeded, short_or_long,
};
use rand::Rng as _;
use serde_json::Value;

use super::{assert_same, checksums, dump, left_behind, live, load, postgres, postgres_15, verb};

/// Tables of many kinds, tied by foreign keys; `big` has enough rows that what follows is little.
const SHOP: &str = "SET ROLE pilotfish;
    CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'it''s fine');
    CREATE TABLE app.big (id integer PRIMARY KEY, release_no integer NOT NULL, note text, \"Odd \"\"name\" app.mood);
    CREATE INDEX big_note ON app.big (note);
    CREATE TABLE app.line (note text, no smallint NOT NULL, big integer NOT NULL, price numeric(9,2), raw bytea,
        twice numeric GENERATED ALWAYS AS (price * 2) STORED, release_no integer NOT NULL, PRIMARY KEY (big, no),
        FOREIGN KEY (big) REFERENCES app.big ON DELETE CASCADE);
    CREATE TABLE public.label (id bigserial PRIMARY KEY, slug text NOT NULL UNIQUE);
    CREATE TABLE public.numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint REFERENCES public.numbered, v text);
    CREATE TABLE public.plain (word text PRIMARY KEY);
    CREATE VIEW app.seen AS SELECT id, price FROM app.big JOIN app.line ON big = id;
    INSERT INTO app.big SELECT n, 1, 'n' || n, 'it''s fine' FROM generate_series(-3, 2000) n;
    INSERT INTO app.line (note, no, big, price, raw, release_no)
        SELECT E'it''s\\ttab \\\\ ' || id, 1, id, id / 3.0, decode('00ff', 'hex'), 1 FROM app.big;
    INSERT INTO app.line (no, big, release_no) SELECT -2, id, 1 FROM app.big WHERE id % 2 = 0;
    INSERT INTO public.label (slug) SELECT 's' || n FROM generate_series(1, 50) n;
    INSERT INTO public.numbered (parent, v) SELECT nullif(n - 1, 0), 'v' FROM generate_series(1, 20) n;
    INSERT INTO public.plain VALUES ('one'), ('two');";

/// Some rows change, go and come, in every table with a key of integers; the server puts changed ones where there is room.
const NEXT: &str = "SET ROLE pilotfish;
    UPDATE app.big SET release_no = 2, note = 'neu', \"Odd \"\"name\" = 'sad' WHERE id % 50 = 0;
    DELETE FROM app.big WHERE id = 7;
    INSERT INTO app.big VALUES (-90, 2, 'before all', NULL), (5000, 2, NULL, NULL);
    INSERT INTO app.line (no, big, price, release_no) VALUES (5, -90, 1.5, 2), (-5, 5000, NULL, 2);
    UPDATE app.line SET price = price + 1, note = E'new\\nline', release_no = 2 WHERE big % 60 = 0;
    UPDATE app.line SET big = 5000, no = 9 WHERE big = 12 AND no = 1;
    DELETE FROM public.label WHERE id = 9; INSERT INTO public.label (slug) VALUES ('new'); UPDATE public.label SET slug = 'other' WHERE id = 3;
    INSERT INTO public.numbered (parent, v) VALUES (20, 'new'); UPDATE public.numbered SET parent = 21 WHERE id = 4;
    DELETE FROM public.numbered WHERE id = 20 AND false;";

/// A dump of the source and what is in it.
struct Dumped {
    dump: PathBuf,
    sums: String,
    whole: String,
}

impl Dumped {
    fn of(world: &World, server: &Postgres, name: &str) -> Self {
        Self {
            dump: dump(world, server, "source", name),
            sums: checksums(server, "source"),
            whole: canonical_dump(&server.dump("source", &[])),
        }
    }

    #[track_caller]
    fn assert_live(&self, server: &Postgres, what: &str) {
        assert_eq!(checksums(server, "app"), self.sums, "{what}");
        assert_same(&live(server), &self.whole, what);
    }
}

fn releases(world: &World, server: &Postgres) -> [Dumped; 2] {
    server.create_database("source");
    server.sql("source", SHOP);
    let first = Dumped::of(world, server, "first.sql");
    server.sql("source", NEXT);
    [first, Dumped::of(world, server, "second.sql")]
}

fn run(server: &Postgres, dump: &Path, more: &[&str]) -> Finished {
    load(server).arg(dump).arg("--output=json").args(more).run()
}

fn loaded(server: &Postgres, dump: &Path) -> Value {
    let finished = run(server, dump, &[]).success();
    // Why it took the whole road, should it matter.
    let why = finished
        .stderr
        .lines()
        .filter(|line| line.contains("whole tables"));
    why.for_each(|line| eprintln!("{line}"));
    finished.json()
}

fn in_place(report: &Value) -> bool {
    report["in_place"].as_bool().expect("the report says how")
}

fn there_and_back(kind: PostgresKind) {
    let (world, server) = postgres(kind);
    let [first, second] = releases(&world, &server);
    assert!(!in_place(&loaded(&server, &first.dump)));
    let report = loaded(&server, &second.dump);
    assert!(in_place(&report), "{report}");
    let changed = ["app.big", "app.line", "label", "numbered"];
    assert_eq!(report["tables_loaded"], serde_json::json!(changed));
    second.assert_live(&server, "changed in place");
    assert_eq!(left_behind(&server), "");
    assert_eq!(loaded(&server, &second.dump)["outcome"], "nothing_to_do");
    let _ = verb(&server, &["rollback"]).success();
    first.assert_live(&server, "rolled back");
    let _ = run(&server, &second.dump, &[]).fails_with(65, "rolled back");
    let _ = verb(&server, &["resume"]).success();
    assert!(in_place(&loaded(&server, &second.dump)));
    assert!(in_place(&loaded(&server, &first.dump)));
    first.assert_live(&server, "there and back");
    // A swap over a difference, and the way back from it.
    let _ = run(&server, &second.dump, &["--whole"]).success();
    second.assert_live(&server, "swapped over a difference");
    let _ = verb(&server, &["rollback"]).success();
    first.assert_live(&server, "back from the swap");
    let left = "SELECT nspname FROM pg_namespace WHERE nspname = 'pilotfish_back'";
    assert_eq!(server.sql("app", left), "", "what undid a difference stays");
}

#[test]
fn fifteen_there_and_back() {
    there_and_back(PostgresKind::Postgres15);
}

#[test]
fn eighteen_there_and_back() {
    there_and_back(PostgresKind::Postgres18);
}

#[test]
fn an_archive_is_changed_in_place_too() {
    let (world, server) = postgres_15();
    let [_, second] = releases(&world, &server);
    let archive = world.join("first.dump");
    server.dump_to("source", &["--format=custom"], &archive);
    let _ = loaded(&server, &archive);
    server.sql("source", "UPDATE app.big SET note = 'x' WHERE id = 3");
    server.dump_to("source", &["--format=custom"], &archive);
    assert!(in_place(&loaded(&server, &archive)));
    assert_eq!(checksums(&server, "app"), checksums(&server, "source"));
    // The same rows from a dump as text.
    assert!(in_place(&loaded(&server, &second.dump)));
    second.assert_live(&server, "from text");
}

/// Differences over differences; at last too many of them, and everything is marked anew.
#[test]
fn one_difference_after_the_other() {
    let (world, server) = postgres_15();
    let [first, _] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    let mut swaps = 0;
    for turn in 0..12 {
        server.sql(
            "source",
            &format!(
                "UPDATE app.big SET note = 'turn {turn}' WHERE id % 100 = {turn}; DELETE FROM app.line WHERE big = {turn}; VACUUM app.big"
            ),
        );
        let now = Dumped::of(&world, &server, &format!("turn{turn}.sql"));
        swaps += i32::from(!in_place(&loaded(&server, &now.dump)));
        now.assert_live(&server, &format!("turn {turn}"));
    }
    assert!((1..=2).contains(&swaps), "{swaps} loads of whole tables");
}

#[test]
fn sequences_alone_go_on_in_place() {
    let (world, server) = postgres_15();
    let [_, second] = releases(&world, &server);
    let _ = loaded(&server, &second.dump);
    server.sql("source", "SELECT setval('public.label_id_seq', 900, false)");
    let third = Dumped::of(&world, &server, "third.sql");
    assert!(in_place(&loaded(&server, &third.dump)));
    third.assert_live(&server, "another value of a sequence");
    let _ = verb(&server, &["rollback"]).success();
    second.assert_live(&server, "the value before");
}

/// A swap would copy all other tables: a small table may change as much as it likes.
#[test]
fn a_small_table_that_changes_altogether_changes_in_place() {
    let (world, server) = postgres_15();
    let [first, _] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    server.sql(
        "source",
        "UPDATE public.numbered SET v = 'all'; UPDATE public.label SET slug = 'x' || slug",
    );
    let next = Dumped::of(&world, &server, "next.sql");
    assert!(in_place(&loaded(&server, &next.dump)));
    next.assert_live(&server, "all rows of two small tables");
}

/// Columns that a COPY leaves to their defaults, and rows behind others of their table.
#[test]
fn rows_that_are_not_whole_are_loaded_whole() {
    let (world, server) = postgres_15();
    let body = |more: &str| {
        let rows: String = (0..200).map(|n| format!("{n}\tv{n}\n")).collect();
        format!(
            "CREATE TABLE public.t (id integer NOT NULL, v text, state text DEFAULT 'new');
COPY public.t (id, v) FROM stdin;
{rows}{more}\\.
ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);"
        )
    };
    let first = super::script(&world, "first.sql", &body(""));
    let second = super::script(&world, "second.sql", &body("500\tmore\n"));
    let _ = loaded(&server, &first);
    let finished = run(&server, &second, &[]).success();
    assert!(!in_place(&finished.json()));
    assert!(
        finished.stderr.contains("without the column state"),
        "{}",
        finished.stderr
    );
    let seen = "SELECT count(*) FILTER (WHERE state = 'new') FROM public.t";
    assert_eq!(server.sql("app", seen), "201\n");
}

/// What is no small change of rows is loaded whole, and says why.
#[test]
fn what_is_not_changed_in_place() {
    let (world, server) = postgres_15();
    server.create_database("source");
    server.sql("source", SHOP);
    let cases = [
        (
            "UPDATE app.big SET note = 'many' WHERE id % 2 = 0",
            "differs by more than some rows",
        ),
        (
            "ALTER TABLE app.big ADD COLUMN more integer",
            "differs by more than some rows",
        ),
        ("CREATE TABLE app.another (id integer)", "tables come or go"),
        (
            "CREATE INDEX more ON app.line (price); UPDATE app.big SET note = 'x' WHERE id = 3",
            "views, triggers or routines differ",
        ),
        ("INSERT INTO public.plain VALUES ('three')", "plain differs"),
        (
            "CREATE MATERIALIZED VIEW app.summed AS SELECT count(*) FROM app.big",
            "materialized views",
        ),
    ];
    let base = dump(&world, &server, "source", "base.sql");
    for (at, (sql, why)) in cases.iter().enumerate() {
        let _ = run(&server, &base, &["--whole"]).success();
        server.sql("source", &format!("SET ROLE pilotfish; {sql}"));
        let next = Dumped::of(&world, &server, &format!("case{at}.sql"));
        let finished = run(&server, &next.dump, &[]).success();
        assert!(!in_place(&finished.json()), "{sql}");
        assert!(finished.stderr.contains(why), "{sql}: {}", finished.stderr);
        next.assert_live(&server, sql);
        server.sql("postgres", "DROP DATABASE source WITH (FORCE)");
        server.create_database("source");
        server.sql("source", SHOP);
    }
}

/// What stands in the way on the live tables themselves.
#[test]
fn live_tables_that_cannot_be_changed_in_place_are_swapped() {
    for (sql, why) in [
        (
            "CREATE FUNCTION app.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note = ''fired''; RETURN NEW; END';
             CREATE TRIGGER fires BEFORE UPDATE ON app.big FOR EACH ROW EXECUTE FUNCTION app.f()",
            "has the trigger fires",
        ),
        (
            "CREATE RULE nothing AS ON DELETE TO app.big DO INSTEAD NOTHING",
            "has rules",
        ),
        (
            "ALTER TABLE app.big ADD COLUMN tag text UNIQUE; UPDATE app.big SET tag = id;
             CREATE TABLE app.tagged (id integer PRIMARY KEY, tag text REFERENCES app.big (tag) ON UPDATE CASCADE);
             INSERT INTO app.tagged SELECT id, tag FROM app.big",
            "follows changes of app.big",
        ),
        (
            "ALTER TABLE app.big ADD COLUMN no integer GENERATED ALWAYS AS IDENTITY",
            "numbers rows by no",
        ),
    ] {
        let (world, server) = postgres_15();
        server.create_database("source");
        server.sql("source", SHOP);
        server.sql("source", &format!("SET ROLE pilotfish; {sql}"));
        let first = dump(&world, &server, "source", "first.sql");
        server.sql(
            "source",
            "ALTER TABLE app.big DISABLE TRIGGER USER; UPDATE app.big SET note = 'few' WHERE id < 3; ALTER TABLE app.big ENABLE TRIGGER USER",
        );
        let second = Dumped::of(&world, &server, "second.sql");
        let _ = loaded(&server, &first);
        let finished = run(&server, &second.dump, &[]).success();
        assert!(!in_place(&finished.json()), "{sql}");
        assert!(finished.stderr.contains(why), "{sql}: {}", finished.stderr);
        second.assert_live(&server, sql);
    }
}

/// The server refuses to exchange unique values row by row: the dump is loaded whole then.
#[test]
fn values_that_change_places_are_swapped_in() {
    let (world, server) = postgres_15();
    let [first, _] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    server.sql(
        "source",
        "UPDATE public.label SET slug = 'tmp' WHERE id = 1; UPDATE public.label SET slug = 's1' WHERE id = 2; UPDATE public.label SET slug = 's2' WHERE id = 1",
    );
    let next = Dumped::of(&world, &server, "next.sql");
    let finished = run(&server, &next.dump, &[]).success();
    assert!(
        in_place(&finished.json()) || finished.stderr.contains("nothing was changed in place"),
        "{}",
        finished.stderr
    );
    next.assert_live(&server, "exchanged values");
}

/// Rows without parents are refused as in a load of whole tables, and no unchanged row follows one that goes.
#[test]
fn a_difference_leaves_no_orphans() {
    let (world, server) = postgres_15();
    let [first, _] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    for (at, sql) in [
        "DELETE FROM app.big WHERE id = 8",
        "INSERT INTO app.line (no, big, release_no) VALUES (1, 4242, 1)",
        "UPDATE app.line SET big = 4343 WHERE big = 9",
    ]
    .iter()
    .enumerate()
    {
        server.sql("postgres", "DROP DATABASE source WITH (FORCE)");
        server.create_database("source");
        server.sql("source", SHOP);
        server.sql(
            "source",
            &format!("SET session_replication_role = replica; {sql}"),
        );
        let dump = dump(&world, &server, "source", &format!("orphans{at}.sql"));
        let _ = run(&server, &dump, &[]).fails_with(65, "violates foreign key");
        first.assert_live(&server, sql);
    }
}

/// Readers see one release, in one statement and in one transaction.
#[test]
fn readers_see_one_instant() {
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    let one = "SELECT CASE WHEN (SELECT max(release_no) FROM app.line) = (SELECT max(release_no) FROM app.big) \
               THEN 'one' ELSE 'MIX' END;";
    let two = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT max(release_no) AS seen FROM app.line \\gset
               SELECT CASE WHEN max(release_no) = :seen THEN 'one' ELSE 'MIX' END FROM app.big; COMMIT;\n";
    let sql = format!("{}{}", one.repeat(10), two.repeat(10));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (reads, swap) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut reads = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let answer = server.sql("app", &sql);
                        assert!(answer.lines().all(|line| line == "one"), "{answer}");
                        reads += answer.lines().count();
                    }
                    reads
                })
            })
            .collect();
        let turns =
            (0..short_or_long(8, 200)).map(|turn| if turn % 2 == 0 { &second } else { &first });
        let swap = turns
            .map(|release| loaded(&server, &release.dump))
            .find(|report| !in_place(report));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let reads = readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader"));
        (reads.sum::<usize>(), swap)
    });
    assert_eq!(swap, None);
    assert!(reads > 100, "{reads} reads");
}

/// Killed anywhere, the live rows are one whole release, the ledger knows which, and the next run succeeds.
fn killed(what: &str, keeps_marks: bool, kill: impl Fn(&Postgres, Running)) {
    let mut random = seeded(what);
    let (world, server) = postgres_15();
    let [first, second] = releases(&world, &server);
    let _ = loaded(&server, &first.dump);
    let started = Instant::now();
    assert!(in_place(&loaded(&server, &second.dump)));
    let span = u64::try_from(started.elapsed().as_micros()).expect("a short time");
    for point in 0..short_or_long(10, 60) {
        let is_first = checksums(&server, "app") == first.sums;
        let wanted = if is_first { &second } else { &first };
        if point % 3 == 2 {
            // A rollback is killed as well.
            let rolling = pilotfish_harness::tool!("load")
                .args(["rollback", "--url", &server.url()])
                .spawn();
            std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
            kill(&server, rolling);
        } else {
            let running = load(&server).arg(&wanted.dump).spawn();
            std::thread::sleep(Duration::from_micros(random.random_range(0..span)));
            kill(&server, running);
        }
        let seen = checksums(&server, "app");
        assert!(
            seen == first.sums || seen == second.sums,
            "point {point}: no whole release"
        );
        let _ = verb(&server, &["resume"]);
        // Whatever is live, the ledger holds it for what was loaded: nothing is refused as written to.
        let report = loaded(&server, &wanted.dump);
        assert!(
            report["outcome"] == "nothing_to_do" || in_place(&report) || !keeps_marks,
            "point {point}: {report}"
        );
        wanted.assert_live(&server, &format!("point {point}"));
        assert_eq!(left_behind(&server), "", "the stage stays");
    }
}

#[test]
fn the_loader_is_killed_in_a_difference() {
    killed("kill -9 in a difference", true, |_, running| {
        running.signal("KILL");
        let _: Finished = running.wait();
    });
}

#[test]
fn the_server_is_killed_in_a_difference() {
    killed(
        "kill -9 of the server in a difference",
        false,
        |server, running| {
            server.kill9();
            let _: Finished = running.wait();
            server.restart();
        },
    );
}
