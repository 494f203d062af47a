//! Archives that are not whole or not in order, made by hand: two tables of a row each.

use std::io::Write as _;

use pilotfish_sql::Dialect;

use crate::{Error, Options, Reader, Source};

use super::super::{Unpacked, unpack};

const ROWS: [&[u8]; 2] = [b"1\tone\n\\.\n\n\n", b"2\ttwo\n\\.\n\n\n"];

fn int(value: u32) -> Vec<u8> {
    [&[0][..], &value.to_le_bytes()].concat()
}

fn text(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap();
    [int(length), value.as_bytes().to_vec()].concat()
}

const NULL: [u8; 5] = [1, 1, 0, 0, 0];

fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn entry(id: u32, kind: &str, tag: &str, said: [&str; 2], data: &[u8]) -> Vec<u8> {
    let [definition, copy] = said;
    let has_data = u32::from(!copy.is_empty());
    [
        int(id),
        int(has_data),
        text("0"),
        text("0"),
        text(tag),
        text(kind),
        int(2),
        text(definition),
        text(""),
        text(copy),
        text("app"),
        NULL.to_vec(),
        NULL.to_vec(),
        int(0),
        text("it"),
        text("false"),
        NULL.to_vec(),
        data.to_vec(),
    ]
    .concat()
}

/// A custom archive whose entries say these places of the blocks, which lie in it in the order of `blocks`.
fn custom(places: [Option<u64>; 2], blocks: [usize; 2]) -> Vec<u8> {
    let place = |place: Option<u64>| match place {
        Some(at) => [&[2][..], &at.to_le_bytes()].concat(),
        None => [&[1][..], &[0; 8]].concat(),
    };
    let mut all = [b"PGDMP".to_vec(), vec![1, 16, 0, 4, 8, 1, 1]].concat();
    all.extend(int(0).repeat(7));
    all.extend([text("app"), text("18.6"), text("18.6 (Debian)"), int(5)].concat());
    let path = "SELECT pg_catalog.set_config('search_path', '', false);\n";
    let nothing = [&[3][..], &[0; 8]].concat();
    let defined =
        |id, kind, tag, definition: &str| entry(id, kind, tag, [definition, ""], &nothing);
    all.extend(defined(1, "SEARCHPATH", "SEARCHPATH", path));
    for (at, table) in ["a", "b"].into_iter().enumerate() {
        let definition = format!("CREATE TABLE app.{table} (id integer, t text);\n");
        let id = 10 + u32::try_from(at).unwrap();
        all.extend(defined(id, "TABLE", table, &definition));
        let copy = format!("COPY app.{table} (id, t) FROM stdin;\n");
        all.extend(entry(
            id + 10,
            "TABLE DATA",
            table,
            ["", &copy],
            &place(places[at]),
        ));
    }
    for block in blocks {
        let piece = zlib(ROWS[block]);
        all.push(1);
        all.extend(int(20 + u32::try_from(block).unwrap()));
        for part in piece.chunks(5) {
            all.extend(int(u32::try_from(part.len()).unwrap()));
            all.extend_from_slice(part);
        }
        all.extend(int(0));
    }
    all
}

fn read(name: &str, bytes: &[u8]) -> Result<Vec<u64>, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let options = Options::new(Dialect::Postgres { version: 180_000 });
    let summary = Reader::open(&Source::Path(path.clone()), options)?.finish()?;
    assert_eq!(summary.sha256, crate::identify(&path).unwrap());
    Ok(summary.tables.values().map(|table| table.rows).collect())
}

/// A stream: there is no file to look into.
fn streamed(bytes: Vec<u8>) -> Result<String, String> {
    let unpacked = unpack(Box::new(std::io::Cursor::new(bytes)), None);
    let Unpacked::Archive(mut archive) = unpacked.map_err(|error| error.to_string())? else {
        return Err("no archive".to_owned());
    };
    assert_eq!(archive.said, "custom archive of pg_dump 18.6, gzip");
    let mut text = String::new();
    let read = std::io::Read::read_to_string(&mut archive.text, &mut text);
    read.map(|_| text).map_err(|error| error.to_string())
}

#[test]
fn an_archive_is_read_by_whatever_name_and_however_packed() {
    let archive = custom([None, None], [0, 1]);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(read("app.dump", &archive).unwrap(), [1, 1]);
    assert_eq!(read("app.sql", &archive).unwrap(), [1, 1]);
    assert_eq!(read("app.sql.gz", &gzip(&archive)).unwrap(), [1, 1]);
    assert_eq!(
        read("app.sql", &zstd::encode_all(&*archive, 1).unwrap()).unwrap(),
        [1, 1]
    );
    assert_eq!(
        read("tape", &[archive, vec![0; 3000]].concat()).unwrap(),
        [1, 1]
    );
}

#[test]
fn data_in_another_order_is_found_by_its_place() {
    let sorted = custom([None, None], [0, 1]);
    let start = sorted.len() as u64 - blocks().iter().sum::<u64>();
    let second = start + blocks()[1];
    let shuffled = custom([Some(second), Some(start)], [1, 0]);
    assert_eq!(read("app.dump", &shuffled).unwrap(), [1, 1]);
    let sorted = streamed(sorted).unwrap();
    assert!(
        sorted.contains("COPY app.a (id, t) FROM stdin;\n1\tone\n\\.\n"),
        "{sorted}"
    );
    let error = streamed(shuffled).unwrap_err();
    assert!(
        error.starts_with("TABLE DATA app.a: ") && error.contains("not a stream"),
        "{error}"
    );
    let error = read("app.dump", &custom([None, None], [1, 0]))
        .unwrap_err()
        .to_string();
    assert!(error.contains("dump again into a file"), "{error}");
}

/// Bytes of the blocks.
fn blocks() -> [u64; 2] {
    ROWS.map(|rows| {
        let piece = zlib(rows).len();
        (1 + 5 + piece + 5 * piece.div_ceil(5) + 5) as u64
    })
}

#[test]
fn an_archive_that_breaks_off_or_is_bent_never_passes() {
    let whole = custom([None, None], [0, 1]);
    for keep in 5..whole.len() {
        let error = read("app.dump", &whole[..keep]).expect_err("a cut archive must not pass");
        let error = error.to_string();
        assert!(error.contains("cut off"), "{keep}: {error}");
        if keep > whole.len() - 20 {
            assert!(
                error.contains("app.dump: the archive is cut off in TABLE DATA app.b;"),
                "{error}"
            );
        }
    }
    let start = whole.len() - usize::try_from(blocks()[1]).unwrap();
    let mut harmless = 0;
    for at in start..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 0x10;
        match read("app.dump", &bent) {
            // deflate fills its last byte up with bits that mean nothing.
            Ok(_) => harmless += 1,
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("TABLE DATA app."), "{at}: {error}");
            }
        }
    }
    assert!(harmless <= 1, "{harmless}");
    let error = read("app.dump", &[whole, b"x".to_vec()].concat()).unwrap_err();
    assert!(error.to_string().contains("goes on behind"), "{error}");
}

#[test]
fn what_is_wrong_with_rows_is_said_with_their_entry() {
    let mut archive = custom([None, None], [0, 1]);
    let block = archive.len() - usize::try_from(blocks()[1]).unwrap();
    archive.truncate(block);
    archive.push(1);
    archive.extend(int(21));
    let piece = zlib(b"2\ttwo\n3\tth\\.ree\n\\.\n\n\n");
    archive.extend(int(u32::try_from(piece.len()).unwrap()));
    archive.extend(piece);
    archive.extend(int(0));
    let error = read("app.dump", &archive).unwrap_err().to_string();
    assert!(error.contains("app.dump: TABLE DATA app.b:"), "{error}");
}

#[test]
fn other_versions_are_refused() {
    let mut archive = custom([None, None], [0, 1]);
    archive[6] = 17;
    let error = read("app.dump", &archive).unwrap_err().to_string();
    assert!(error.contains("its format is 1.17"), "{error}");
}
