//! Dumps that are damaged, in another charset, or wrong in one row.

use std::io::Write as _;

use pilotfish_harness::seeded;
use rand::Rng as _;

use crate::{checksums, load, mariadb, release_no, two_releases};

/// As the tools of each format write it: with its checksum.
fn packed(suffix: &str, text: &[u8]) -> Vec<u8> {
    match suffix {
        "gz" => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(text).expect("pack");
            to.finish().expect("pack")
        }
        "zst" => {
            let mut to = zstd::Encoder::new(Vec::new(), 1).expect("pack");
            to.include_checksum(true).expect("pack");
            to.write_all(text).expect("pack");
            to.finish().expect("pack")
        }
        "xz" => {
            let mut to = liblzma::write::XzEncoder::new(Vec::new(), 1);
            to.write_all(text).expect("pack");
            to.finish().expect("pack")
        }
        "bz2" => {
            let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            to.write_all(text).expect("pack");
            to.finish().expect("pack")
        }
        _ => {
            let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
            let mut to = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            to.write_all(text).expect("pack");
            to.finish().expect("pack")
        }
    }
}

#[test]
fn a_damaged_archive_is_refused_wherever_the_damage_is() {
    let mut random = seeded("where a dump is damaged");
    let (world, server) = mariadb(&["--local-infile=1"]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let before = checksums(&server, "app");
    let text = std::fs::read(&second).expect("read the dump");
    for suffix in ["gz", "zst", "xz", "bz2", "lz4"] {
        let whole = packed(suffix, &text);
        for round in 0..6 {
            // Headers and ends hold bytes that mean nothing; the middle is all rows.
            let middle = whole.len() / 8..whole.len() * 7 / 8;
            let at = random.random_range(middle);
            let (mut damaged, what) = (whole.clone(), format!("{suffix}, byte {at}"));
            if round % 2 == 0 {
                damaged[at] ^= 1 << random.random_range(0..8);
            } else {
                damaged.truncate(at);
            }
            let path = world.write(format!("damaged.sql.{suffix}"), &damaged);
            // A file is read ahead; a stream is refused when its rows are on the stage already.
            let load = if round < 3 {
                load(&server).arg(&path)
            } else {
                load(&server).arg("-").stdin_file(&path)
            };
            let done = load.arg("--into=app").run();
            assert_eq!(done.code, Some(65), "{what}: {done}");
            let named =
                done.stderr.contains("damaged.sql") || done.stderr.contains("standard input");
            assert!(named, "{what}: {done}");
            assert_eq!(checksums(&server, "app"), before, "{what}");
        }
        let last = world.write("cut.sql", &whole[..whole.len() - 1]);
        let _ = load(&server)
            .arg(&last)
            .arg("--into=app")
            .run()
            .fails_with(65, "cut");
        let path = world.write("whole.sql", &whole);
        let _ = load(&server).arg(&path).arg("--into=app").run().success();
        assert_eq!(release_no(&server), "2", "{suffix}");
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
    }
}

#[test]
fn an_error_in_one_row_names_file_line_and_statement() {
    for args in [&["--local-infile=1"][..], &[]] {
        let (world, server) = mariadb(args);
        let (first, _) = two_releases(&world, &server);
        let _ = load(&server).arg(&first).arg("--into=app").run().success();
        let mut text = "CREATE TABLE a (\n  id INT PRIMARY KEY, n TINYINT);\n".to_owned();
        for id in 0..300 {
            let n = if id == 211 { 4711 } else { 1 };
            text.push_str(&format!("INSERT INTO a VALUES ({id},{n});\n"));
        }
        let path = world.write(
            "rows.sql",
            "SET sql_mode='STRICT_ALL_TABLES';\n".to_owned() + &text,
        );
        let done = load(&server).arg(&path).arg("--into=app").run();
        let done = done.fails_with(65, "Out of range");
        // Rows travel together: where they begin, and which of them.
        for part in ["rows.sql:4 (byte 106)", "INSERT INTO a", "at row 212"] {
            assert!(done.stderr.contains(part), "no `{part}` in {done}");
        }
        assert_eq!(release_no(&server), "1");
    }
}

#[test]
fn a_charset_whose_characters_hold_backslashes_is_refused_by_name() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    // Second bytes that are a backslash: a quote would end where it does not.
    let cases: [(&str, &[u8]); 4] = [
        ("gbk", b"\xd5\x5c"),
        ("sjis", b"\x95\x5c"),
        ("big5", b"\xa5\x5c"),
        ("cp932", b"\x83\x5c"),
    ];
    for (charset, word) in cases {
        let head = format!(
            "/*!40101 SET NAMES {charset} */;\nCREATE TABLE a (word VARCHAR(20));\nINSERT INTO a VALUES ('"
        );
        let text = [head.as_bytes(), word, b"');\nDROP TABLE b;\n"].concat();
        let path = world.write("charset.sql", text);
        let done = load(&server).arg(&path).arg("--into=app").run();
        let done = done.fails_with(65, &format!("the character set {charset}"));
        assert!(done.stderr.contains("charset.sql:1 "), "{done}");
        assert_eq!(release_no(&server), "1");
    }
}

#[test]
fn a_file_in_utf_16_is_refused_in_its_own_words() {
    let (world, server) = mariadb(&[]);
    let (first, second) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let text = std::fs::read_to_string(&second).expect("read the dump");
    let wide = |unit: fn(u16) -> [u8; 2], mark: bool| -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(unit)
            .collect()
    };
    for (name, bytes) in [
        ("le.sql", wide(u16::to_le_bytes, true)),
        ("be.sql", wide(u16::to_be_bytes, true)),
        ("bare.sql", wide(u16::to_le_bytes, false)),
    ] {
        let path = world.write(name, bytes);
        let done = load(&server).arg(&path).arg("--into=app").run();
        let _ = done.fails_with(65, "UTF-16");
        assert_eq!(release_no(&server), "1");
    }
}

#[test]
fn commands_of_the_client_are_refused_and_nothing_is_read_or_run() {
    let (world, server) = mariadb(&[]);
    let (first, _) = two_releases(&world, &server);
    let _ = load(&server).arg(&first).arg("--into=app").run().success();
    let trace = world.join("trace");
    for command in [
        format!("\\! touch {}", trace.display()),
        format!("system touch {}", trace.display()),
        format!("tee {}", trace.display()),
        format!("\\T {}", trace.display()),
        format!("pager touch {}", trace.display()),
        "source ../../etc/passwd".to_owned(),
        "source /etc/passwd".to_owned(),
        "\\. ../../etc/passwd".to_owned(),
        "edit".to_owned(),
    ] {
        let text = format!("CREATE TABLE a (id TEXT);\n{command}\n;\nCREATE TABLE b (id INT);\n");
        let path = world.write("commands.sql", text);
        let done = load(&server).arg(&path).arg("--into=app").run();
        let done = done.fails_with(65, "commands.sql:2");
        assert!(!done.stderr.contains("root:"), "{done}");
        assert!(!trace.exists(), "{command} was run");
        assert_eq!(release_no(&server), "1", "{command}");
    }
}

#[test]
fn an_error_far_behind_is_counted_from_where_its_rows_begin() {
    let (world, server) = mariadb(&[]);
    let rows: Vec<String> = (0..6000)
        .map(|id| format!("({},'{id:0>200}')", if id == 5998 { 5990 } else { id }))
        .collect();
    let text = format!(
        "CREATE TABLE t (id INT PRIMARY KEY, text VARCHAR(200));\nINSERT INTO t VALUES {};\n",
        rows.join(",")
    );
    let path = world.write("far.sql", text);
    let done = load(&server).arg(&path).arg("--into=app").run();
    let done = done.fails_with(65, "Duplicate entry '5990'");
    // More than one statement of the server's.
    let before = done.stderr.split("after the first ").nth(1);
    let before = before.and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(
        before.is_some_and(|before| (4000..5999).contains(&before)),
        "{done}"
    );
    assert!(done.stderr.contains("far.sql:2 "), "{done}");
}

#[test]
fn rows_out_of_a_damaged_archive_are_laid_to_the_archive() {
    let (world, server) = mariadb(&["--local-infile=1"]);
    let mut dump =
        "SET sql_mode='STRICT_ALL_TABLES';\nCREATE TABLE t (id INT PRIMARY KEY, n INT);\n"
            .to_owned();
    // The checksum comes after all rows, and is far away when one that no longer says what it said is refused.
    for id in 0..1_000_000_u64 {
        let begin = if id % 1000 == 0 {
            "INSERT INTO t VALUES"
        } else {
            ""
        };
        let n = if id == 5000 { 99_999_999_999 } else { id };
        let end = if id % 1000 == 999 { ";\n" } else { "," };
        dump.push_str(&format!("{begin} ({id},{n}){end}"));
    }
    let mut damaged = packed("gz", dump.as_bytes());
    let sums = damaged.len() - 8;
    damaged[sums] ^= 1;
    let path = world.write("damaged.sql.gz", &damaged);
    let done = load(&server).arg(&path).arg("--into=app").run();
    let _ = done.fails_with(65, "the stream is damaged");
}

#[test]
fn a_refused_row_is_not_laid_to_another_archive() {
    let (world, server) = mariadb(&[]);
    let bad = "SET sql_mode='STRICT_ALL_TABLES';\nCREATE TABLE a (n TINYINT);\nINSERT INTO a VALUES (4711);\n";
    let path = world.write("folder/a.sql.gz", packed("gz", bad.as_bytes()));
    // Its checksum is far away when that row is refused.
    let mut long = "CREATE TABLE b (v VARCHAR(1000));\n".to_owned();
    for row in 0..40_000 {
        long.push_str(&format!("INSERT INTO b VALUES ('{row:0>990}');\n"));
    }
    let mut damaged = packed("gz", long.as_bytes());
    let sums = damaged.len() - 8;
    damaged[sums] ^= 1;
    world.write("folder/b.sql.gz", &damaged);
    let folder = path.parent().expect("a folder");
    let done = load(&server).arg(folder).arg("--into=app").run();
    let done = done.fails_with(65, "Out of range");
    assert!(!done.stderr.contains("b.sql.gz"), "{done}");
}
