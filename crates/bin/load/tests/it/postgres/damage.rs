//! Dumps that are cut or wrong in one place: refused by file and line, and live is untouched.

use std::path::{Path, PathBuf};

use pilotfish_harness::{Postgres, World};

use super::{left_behind, line_of, live, load, postgres_15, script, two_releases};

/// A server on which the first release is live.
struct Scene {
    world: World,
    server: Postgres,
    second: PathBuf,
    before: String,
}

impl Scene {
    fn new() -> Self {
        let (world, server) = postgres_15();
        let (first, second) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).run().success();
        let before = live(&server);
        Self {
            world,
            server,
            second,
            before,
        }
    }

    /// Loads what must be refused, from a file and from a stream, which is refused when its rows are on the stage.
    #[track_caller]
    fn refuses(&self, dump: &Path, codes: &[i32], words: &[&str]) -> String {
        let run = |load: pilotfish_harness::Tool| {
            let done = load.run();
            let code = done.code.expect("an exit code");
            assert!(codes.contains(&code), "{codes:?}: {done}");
            for word in words {
                // A stream has no name.
                let word = word.split_once(".sql:").map_or(*word, |(_, line)| line);
                assert!(done.stderr.contains(word), "no `{word}` in {done}");
            }
            assert_eq!(live(&self.server), self.before, "live has changed: {done}");
            assert_eq!(left_behind(&self.server), "", "{done}");
            done
        };
        let _ = run(load(&self.server).arg("-").stdin_file(dump));
        let done = run(load(&self.server).arg(dump));
        for word in words {
            assert!(done.stderr.contains(word), "no `{word}` in {done}");
        }
        done.stderr
    }

    /// The second release with one text replaced.
    fn with(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let text = std::fs::read_to_string(&self.second).expect("read the dump");
        assert_eq!(text.matches(from).count(), 1, "{from:?} is there once");
        self.world.write(name, text.replace(from, to))
    }
}

#[test]
fn a_dump_that_is_cut_is_refused_wherever_it_is_cut() {
    let scene = Scene::new();
    let text = std::fs::read_to_string(&scene.second).expect("read the dump");
    let copy = text.find("COPY public.a").expect("rows of a");
    let middle = copy + text[copy..].find("\n250\t").expect("row 250");
    for (what, at) in [
        ("in the rows", middle + 4),
        ("between rows", middle + 1),
        (
            "after the rows",
            copy + text[copy..].find("\n\\.\n").expect("an end") + 4,
        ),
        (
            "in a statement",
            text.find("ADD CONSTRAINT a_pkey").expect("a key"),
        ),
        (
            "before its last line",
            text.find("-- PostgreSQL database dump complete")
                .expect("an end"),
        ),
    ] {
        let path = scene.world.write("cut.sql", &text[..at]);
        let done = scene.refuses(&path, &[65], &[]);
        assert!(done.contains("cut.sql"), "{what}: {done}");
    }
}

#[test]
fn a_value_that_the_server_refuses_is_named_by_its_line() {
    let scene = Scene::new();
    for (to, why) in [
        ("\n250\tmany\tn250\n", "invalid input syntax"),
        ("\n250\t99999999999\tn250\n", "out of range"),
        ("\n250\t\\N\tn250\n", "not-null"),
        ("\n250\t2\n", "missing data for column"),
        (
            "\n250\t2\tn250\tmore\n",
            "extra data after last expected column",
        ),
    ] {
        let path = scene.with("bad.sql", "\n250\t2\tn250\n", to);
        let text = std::fs::read_to_string(&path).expect("read the dump");
        // Rows of another table may look the same, before it.
        let before = text.rfind(to).expect("the row that is wrong");
        let number = text[..=before].lines().count() + 1;
        let line = format!("line {number} of the dump");
        scene.refuses(&path, &[65], &[&line, why]);
    }
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let scene = Scene::new();
    let path = scene.with("twice.sql", "\n250\t2\tn250\n", "\n249\t2\tn250\n");
    scene.refuses(&path, &[65], &["twice.sql:", "a_pkey", "(249)"]);
}

#[test]
fn a_row_that_leads_nowhere_is_refused() {
    let scene = Scene::new();
    let path = scene.with("orphan.sql", "\n1000\t2\tnew\n", "\n1001\t2\tnew\n");
    let text = std::fs::read_to_string(&path).expect("read the dump");
    let rows = text.find("COPY app.b").expect("rows of b");
    let first = rows + text[rows..].find('\n').expect("a line") + 1;
    let path = scene.world.write(
        "orphan.sql",
        format!("{}1000\t2\n{}", &text[..first], &text[first..]),
    );
    scene.refuses(&path, &[65], &["orphan.sql:", "b_id_fkey"]);
}

#[test]
fn a_statement_that_the_server_refuses_is_named_by_its_line() {
    let scene = Scene::new();
    let body = "CREATE TABLE public.a (id integer);\nCREATE TABLE public.t (id no_such_type);\n";
    let path = script(&scene.world, "statement.sql", body);
    let line = line_of(&path, "CREATE TABLE public.t");
    scene.refuses(&path, &[65], &[&line, "no_such_type"]);
}

#[test]
fn commands_of_psql_are_refused_and_nothing_is_read_or_run() {
    let scene = Scene::new();
    let trace = scene.world.join("trace");
    for command in [
        format!("\\! touch {}", trace.display()),
        format!("\\o {}", trace.display()),
        format!("\\g {}", trace.display()),
        format!("\\copy public.a TO '{}'", trace.display()),
        format!("\\set x `touch {}`", trace.display()),
        format!("\\unrestrict `touch {}`", trace.display()),
        "\\i ../../etc/passwd".to_owned(),
        "\\ir /etc/passwd".to_owned(),
        "\\if true".to_owned(),
        "SELECT :'x';".to_owned(),
        "SELECT 1 \\gexec".to_owned(),
    ] {
        let body = format!("CREATE TABLE public.a (id integer);\n{command}\n");
        let path = script(&scene.world, "commands.sql", &body);
        let line = line_of(&path, &command);
        let done = scene.refuses(&path, &[65], &[&line]);
        assert!(!done.contains("root:"), "{done}");
        assert!(!trace.exists(), "{command} was run");
    }
}

#[test]
fn between_restrict_and_unrestrict_no_command_is_taken() {
    let scene = Scene::new();
    let table = "CREATE TABLE public.a (id integer);\n";
    for (body, line) in [
        ("\\connect other\n\\unrestrict k3y\n", "\\connect"),
        ("\\unrestrict other\n", "\\unrestrict"),
        ("\\restrict again\n\\unrestrict k3y\n", "\\restrict again"),
    ] {
        let path = script(
            &scene.world,
            "restricted.sql",
            &format!("\\restrict k3y\n{table}{body}"),
        );
        scene.refuses(&path, &[65], &[&line_of(&path, line)]);
    }
}

#[test]
fn a_dump_of_characters_that_hold_backslashes_is_refused_by_name() {
    let scene = Scene::new();
    for encoding in ["SJIS", "BIG5", "GBK", "GB18030", "UHC", "JOHAB"] {
        let body =
            format!("SET client_encoding = '{encoding}';\nCREATE TABLE public.a (word text);\n");
        let path = script(&scene.world, "encoding.sql", &body);
        let line = line_of(&path, "SET client_encoding");
        scene.refuses(&path, &[65], &[&line, encoding]);
    }
}

#[test]
fn rows_are_text_also_where_they_look_like_statements() {
    let (world, server) = postgres_15();
    let body = "CREATE TABLE public.t (id integer, word text);\nCOPY public.t (id, word) FROM stdin;\n\
         1\tCOPY public.t FROM stdin;\n2\t\\\\.\n3\t-- PostgreSQL database dump complete\n4\t\\\\! true\n5\ta;b'c\"d$$\n\\.\n";
    let path = script(&world, "rows.sql", body);
    let _ = load(&server).arg(&path).run().success();
    assert_eq!(
        server.sql("app", "SELECT word FROM public.t ORDER BY id"),
        "COPY public.t FROM stdin;\n\\.\n-- PostgreSQL database dump complete\n\\! true\na;b'c\"d$$\n"
    );
}
