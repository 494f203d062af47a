//! The same sidecar beside PostgreSQL.

use pilotfish_harness::{Postgres, PostgresKind};

use super::*;

/// A server and a volume beside it.
struct Aside {
    world: World,
    server: Postgres,
    volume: PathBuf,
}

impl Aside {
    fn new(kind: PostgresKind) -> Self {
        let world = World::new();
        let server = Postgres::start(kind, &world, &[]);
        let volume = world.join("volume");
        fs::create_dir(&volume).unwrap();
        Self {
            world,
            server,
            volume,
        }
    }

    fn watch(&self) -> Watch {
        let token = self.world.write("token", format!("{TOKEN}\n"));
        let url = self.server.url();
        Watch::start(watch(&url, &self.volume).arg("--token-file").arg(token))
    }

    /// As pg_dump writes it; each row says which release it is of.
    fn publish(&self, number: u32) {
        let rows: String = (0..500).map(|id| format!("{id}\t{number}\n")).collect();
        let dump = format!(
            "--\n-- PostgreSQL database dump\n--\n\n\
             SET standard_conforming_strings = on;\n\
             SELECT pg_catalog.set_config('search_path', '', false);\n\
             CREATE TABLE public.t (id integer NOT NULL, release_no integer);\n\
             COPY public.t (id, release_no) FROM stdin;\n{rows}\\.\n\
             ALTER TABLE ONLY public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id);\n\
             CREATE VIEW public.v AS SELECT count(*) AS rows FROM public.t;\n\
             --\n-- PostgreSQL database dump complete\n--\n\n"
        );
        publish(&self.volume, number, &dump);
    }

    /// The release readers see; `None` when there is none, or when releases are mixed.
    fn live(&self) -> Option<String> {
        let query = "SELECT string_agg(DISTINCT release_no::text, ','), count(*) FROM public.t";
        let answer = self.server.try_sql("app", query).ok()?;
        let (release, rows) = answer.trim().split_once('\t')?;
        (rows == "500").then(|| release.to_owned())
    }

    #[track_caller]
    fn becomes_live(&self, number: u32) {
        eventually(&format!("release {number} to be live"), PATIENCE, || {
            self.live().filter(|live| *live == number.to_string())
        });
    }
}

#[test]
fn on_postgres_a_release_is_loaded_the_next_one_swapped_and_all_pages_say_so() {
    for kind in PostgresKind::all() {
        let beside = Aside::new(kind);
        let watch = beside.watch();
        assert_eq!(watch.get("/readyz").status, 503);
        for number in [1, 2] {
            beside.publish(number);
            beside.becomes_live(number);
            eventually("the release to be current", PATIENCE, || {
                (watch.metric("pilotfish_watch_release_current") == 1.0).then_some(())
            });
            watch.newest_is("succeeded");
            watch.is_ready();
        }
        let readyz = watch.get("/readyz").body;
        assert!(readyz.contains("is live in app"), "{readyz}");
        let state = watch.state();
        let digest = state["volume"]["digest"].as_str().unwrap();
        let page = watch.get("/").body;
        assert!(page.contains(&digest[..12]), "{page}");
        assert_eq!(state["loads"][0]["report"]["rows"], 500, "{state:#}");
        let done = "pilotfish_watch_loads_total{result=\"succeeded\"}";
        assert_eq!(watch.metric(done), 2.0);
        assert_eq!(watch.metric("pilotfish_watch_server_reachable"), 1.0);
        watch.ends_well();
    }
}

#[test]
fn on_postgres_a_load_is_asked_for_and_remembered_by_the_server() {
    let beside = Aside::new(PostgresKind::Postgres15);
    beside.publish(1);
    let watch = beside.watch();
    let bearer = format!("Bearer {TOKEN}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("idempotency-key", "run-1"),
    ];
    let answer = http::request("POST", &watch.url("/v1/loads"), &headers, "{}").unwrap();
    assert_eq!(answer.status, 202, "{}", answer.body);
    watch.load_is("run-1", "succeeded");
    assert_eq!(beside.live().as_deref(), Some("1"));
    watch.ends_well();

    let watch = beside.watch();
    let load = watch.load_is("run-1", "succeeded");
    assert_eq!(load["exit_code"], 0, "{load:#}");
    let again = http::request("POST", &watch.url("/v1/loads"), &headers, "{}").unwrap();
    assert_eq!(again.status, 200, "{}", again.body);
    watch.ends_well();
}

#[test]
fn on_postgres_a_rolled_back_release_is_left_alone_and_comes_back_when_it_may() {
    let beside = Aside::new(PostgresKind::Postgres18);
    let watch = beside.watch();
    for number in [1, 2] {
        beside.publish(number);
        beside.becomes_live(number);
    }
    watch.newest_is("succeeded");
    roll_back(&beside.server.url());
    eventually("the rollback to be told", PATIENCE, || {
        (watch.state()["obstacle"]["reason"] == "rolled_back").then_some(())
    });
    assert_eq!(watch.metric("pilotfish_watch_release_rejected"), 1.0);
    assert_eq!(watch.get("/readyz").status, 200);
    assert_eq!(watch.call("PUT", "/v1/loads/please", "").status, 202);
    watch.load_is("please", "failed");
    assert_eq!(beside.live().as_deref(), Some("1"));
    resume(&beside.server.url());
    beside.becomes_live(2);
    watch.ends_well();
}

#[test]
fn on_postgres_what_somebody_drops_comes_back() {
    let beside = Aside::new(PostgresKind::Postgres15);
    beside.publish(1);
    let watch = beside.watch();
    watch.is_ready();
    let there = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace \
                 AND relname IN ('t', 'v')";
    for gone in ["DROP VIEW public.v", "DROP TABLE public.t CASCADE"] {
        beside.server.sql("app", gone);
        eventually("all of it to be back", PATIENCE, || {
            (beside.server.sql("app", there).trim() == "2").then_some(())
        });
        watch.is_ready();
    }
    watch.ends_well();
}

#[test]
fn on_postgres_a_server_that_comes_late_is_waited_for() {
    let beside = Aside::new(PostgresKind::Postgres15);
    beside.publish(1);
    beside.server.stop();
    let watch = beside.watch();
    eventually("the server to be missed", PATIENCE, || {
        (watch.state()["server"]["reachable"] == Value::Bool(false)).then_some(())
    });
    assert_eq!(watch.get("/readyz").status, 503);
    beside.server.restart();
    beside.becomes_live(1);
    watch.is_ready();
    watch.ends_well();
}
