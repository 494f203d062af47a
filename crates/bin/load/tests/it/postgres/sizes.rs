//! Memory does not grow with the dump.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use pilotfish_harness::{World, short_or_long, tool};

use super::{load, postgres_15};

/// What one load may take, whatever its dump.
const MOST_KIB: u64 = 128 * 1024;

/// One COPY of so many rows of a kilobyte each.
fn one_copy(world: &World, rows: usize) -> PathBuf {
    let path = world.join("large.sql");
    let mut file = BufWriter::new(File::create(&path).expect("make the dump"));
    let mut write = |text: &str| file.write_all(text.as_bytes()).expect("write the dump");
    write(super::HEAD);
    write(
        "CREATE TABLE public.big (id integer NOT NULL, text text);\nCOPY public.big (id, text) FROM stdin;\n",
    );
    let text = "squeeze\\tthis ".repeat(77);
    for id in 0..rows {
        write(&format!("{id}\t{text}\n"));
    }
    write("\\.\nALTER TABLE ONLY public.big ADD CONSTRAINT big_pkey PRIMARY KEY (id);\n");
    write("--\n-- PostgreSQL database dump complete\n--\n");
    path
}

#[test]
fn a_copy_of_300_mb_stays_under_128_mib() {
    let (world, server) = postgres_15();
    let rows = short_or_long(300_000, 3_000_000);
    let path = one_copy(&world, rows);
    let size = std::fs::metadata(&path).expect("its size").len();
    assert!(size >= 300_000_000, "only {size} bytes");
    server.create_database("app_more");
    for (database, stream) in [("app", false), ("app_more", true)] {
        let load = tool!("load").args(["--url", &server.url_of(database), "--threads=4"]);
        let load = load.args(["--into", database]);
        let load = if stream {
            load.arg("-").stdin_file(&path)
        } else {
            load.arg(&path)
        };
        let done = load.run().success();
        assert!(done.peak_rss_kib < MOST_KIB, "{} KiB", done.peak_rss_kib);
        let seen = server.sql(database, "SELECT count(*), max(id) FROM public.big");
        assert_eq!(seen.trim(), format!("{rows}\t{}", rows - 1));
    }
}

#[test]
fn a_row_of_48_mib_is_loaded() {
    let (world, server) = postgres_15();
    let bytes = short_or_long(48, 200) * 1024 * 1024;
    let body = format!(
        "CREATE TABLE public.t (id integer, text text);\nCOPY public.t (id, text) FROM stdin;\n1\t{}\n2\tsmall\n\\.\n",
        "x".repeat(bytes)
    );
    let path = super::script(&world, "row.sql", &body);
    let _ = load(&server).arg(&path).run().success();
    let seen = server.sql("app", "SELECT id, length(text) FROM public.t ORDER BY id");
    assert_eq!(seen, format!("1\t{bytes}\n2\t5\n"));
}
