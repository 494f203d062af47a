//! Archives that mean harm, in every wrapping: what is refused, and what is taken by which rule.

use std::io::Write;

use pilotfish_harness::World;
use tar::EntryType;
use zip::write::SimpleFileOptions;

use crate::archives::{entry, from_file, gzip};
use crate::{assert_untouched, manifest, published, visible, volume};

fn wrapped(set: &[u8]) -> [(&'static str, Vec<u8>); 3] {
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(set).unwrap();
    [
        ("set.tar.gz", gzip(set)),
        ("set.tar.zst", zstd::encode_all(set, 1).unwrap()),
        ("set.tar.xz", xz.finish().unwrap()),
    ]
}

/// Regular files under names that the library itself would not write.
fn files(names: &[&[u8]]) -> Vec<u8> {
    let mut set = Vec::new();
    for name in names {
        let one = entry(name, EntryType::Regular, None);
        // Without the two blocks of zeros at the end.
        set.extend_from_slice(&one[..one.len() - 1024]);
    }
    set.extend_from_slice(&[0; 1024]);
    set
}

/// A name beyond the hundred bytes of a header, as GNU tar writes it.
fn long_name(length: usize) -> Vec<u8> {
    let name = vec![b'n'; length];
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    let mut set = tar::Builder::new(Vec::new());
    let name = String::from_utf8(name).unwrap();
    set.append_data(&mut header, name, &b"evil"[..]).unwrap();
    set.into_inner().unwrap()
}

#[test]
fn sets_that_mean_harm_are_refused_in_every_wrapping() {
    let cases = [
        ("climbs", files(&[b"../evil.sql"]), "leads out"),
        ("climbs deep", files(&[b"a/../../evil.sql"]), "leads out"),
        ("absolute", files(&[b"/tmp/evil.sql"]), "leads out"),
        (
            "symlink",
            entry(b"a.sql", EntryType::Symlink, Some("/etc/passwd")),
            "link",
        ),
        (
            "hard link",
            entry(b"a.sql", EntryType::Link, Some("/etc/passwd")),
            "link",
        ),
        ("device", entry(b"a.sql", EntryType::Block, None), "device"),
        ("not UTF-8", files(&[b"a\xff.sql"]), "not UTF-8"),
        ("twice", files(&[b"a.sql", b"a.sql"]), "two entries"),
        (
            "a file and a folder",
            files(&[b"a.sql", b"a.sql/b.sql"]),
            "two entries",
        ),
        ("a long name", long_name(300), "cannot be a file's"),
        (
            "only a folder",
            entry(b"folder/", EntryType::Directory, None),
            "no file",
        ),
        (
            "good and evil",
            files(&[b"a.sql", b"../evil.sql"]),
            "leads out",
        ),
    ];
    for (what, set, reason) in cases {
        for (name, bytes) in wrapped(&set) {
            let world = World::new();
            let refused = from_file(&world, name, &bytes, &[]);
            assert_eq!(refused.code, Some(65), "{what} in {name}: {refused}");
            assert!(
                refused.stderr.contains(reason),
                "{what} in {name}: {refused}"
            );
            assert_untouched(&world);
            assert!(!world.join("evil.sql").exists() && !volume(&world).join("evil.sql").exists());
        }
    }
}

#[test]
fn an_empty_set_is_no_release() {
    // The end mark and nothing before it, as `tar -cT /dev/null` writes it: 10 KiB of zeros.
    let empty = vec![0; 10240];
    let world = World::new();
    for (name, bytes) in wrapped(&empty)
        .into_iter()
        .chain([("set.tar", empty.clone())])
    {
        let refused = from_file(&world, name, &bytes, &[]);
        refused.fails_with(65, "no file");
        assert_untouched(&world);
    }
    let zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let zip = zip.finish().unwrap().into_inner();
    from_file(&world, "set.zip", &zip, &[]).fails_with(65, "no file");
    assert_untouched(&world);
}

#[test]
fn zips_obey_the_same_rules() {
    let options = SimpleFileOptions::default();
    let zip = |names: &[&str]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for name in names {
            zip.start_file(*name, options).unwrap();
            zip.write_all(b"evil").unwrap();
        }
        zip.finish().unwrap().into_inner()
    };
    let long = "n".repeat(300);
    let mut twice = zip(&["a.sql", "b.sql"]);
    // The library refuses to write it: both directories say the first name.
    for at in 0..twice.len() - 5 {
        if &twice[at..at + 5] == b"b.sql" {
            twice[at] = b'a';
        }
    }
    for (what, bytes, reason) in [
        ("climbs", zip(&["../evil.sql"]), "leads out"),
        ("climbs deep", zip(&["a/../../evil.sql"]), "leads out"),
        ("absolute", zip(&["/tmp/evil.sql"]), "leads out"),
        ("a long name", zip(&[&long]), "cannot be a file's"),
        ("only a folder", zip(&["folder/"]), "no file"),
        ("good and evil", zip(&["a.sql", "../evil.sql"]), "leads out"),
        ("twice", twice, "two entries"),
    ] {
        let world = World::new();
        let refused = from_file(&world, "set.zip", &bytes, &[]);
        assert_eq!(refused.code, Some(65), "{what}: {refused}");
        assert!(refused.stderr.contains(reason), "{what}: {refused}");
        assert_untouched(&world);
    }
}

/// A tar with one header of this kind whose body is this long, and a file behind it.
fn header_with_body(kind: EntryType, length: usize) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(length as u64);
    header.set_mode(0o755);
    header.as_old_mut().name[..6].copy_from_slice(b"folder");
    header.set_cksum();
    let mut set = header.as_bytes().to_vec();
    set.resize(512 + length.next_multiple_of(512), 0);
    set.extend_from_slice(&entry(b"a.sql", EntryType::Regular, None));
    set
}

#[test]
fn what_is_no_file_cannot_fill_memory_or_time() {
    for kind in [
        EntryType::GNULongName,
        EntryType::GNULongLink,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::Directory,
    ] {
        for (name, bytes) in wrapped(&header_with_body(kind, 40 << 20)) {
            let world = World::new();
            let refused = from_file(&world, name, &bytes, &[]);
            assert_eq!(refused.code, Some(65), "{kind:?} in {name}: {refused}");
            let reason = "between two files";
            assert!(
                refused.stderr.contains(reason),
                "{kind:?} {name}: {refused}"
            );
            assert!(
                refused.peak_rss_kib < 48 << 10,
                "{kind:?} {name}: {refused}"
            );
            assert_untouched(&world);
        }
    }
    // Small ones without an end grow as files do.
    let folder = header_with_body(EntryType::Directory, 0);
    let many = zstd::encode_all(&folder[..512].repeat(60_000)[..], 1).unwrap();
    let world = World::new();
    from_file(&world, "set.tar.zst", &many, &[]).fails_with(65, "--max-expansion");
}

#[test]
fn a_zip_with_too_many_entries_is_refused_before_they_are_held() {
    let entries = 2_000_000_u64.to_le_bytes();
    let mut zip = b"PK\x03\x04".to_vec();
    zip.resize(100, 0);
    // The end of a large one, where it is, and the end of a small one.
    zip.extend_from_slice(b"PK\x06\x06\x2c\0\0\0\0\0\0\0\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
    zip.extend_from_slice(&entries);
    zip.extend_from_slice(&entries);
    zip.extend_from_slice(&[0; 16]);
    zip.extend_from_slice(b"PK\x06\x07\0\0\0\0\x64\0\0\0\0\0\0\0\x01\0\0\0");
    zip.extend_from_slice(
        b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0",
    );
    let world = World::new();
    from_file(&world, "set.zip", &zip, &[]).fails_with(65, "more than 100000 files");
    assert_untouched(&world);
}

#[test]
fn a_zip_whose_directory_is_longer_than_any_is_refused() {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let name = "n".repeat(250);
    zip.start_file(name, SimpleFileOptions::default()).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let place = |mark: &[u8]| zip.windows(4).position(|it| it == mark).unwrap();
    let (directory, end) = (place(b"PK\x01\x02"), place(b"PK\x05\x06"));
    let mut large = zip[..directory].to_vec();
    large.extend(zip[directory..end].repeat(60_000));
    let length = u32::try_from(large.len() - directory).unwrap();
    let mut last = zip[end..].to_vec();
    for at in [8, 10] {
        last[at..at + 2].copy_from_slice(&60_000_u16.to_le_bytes());
    }
    last[12..16].copy_from_slice(&length.to_le_bytes());
    large.extend(last);
    let world = World::new();
    from_file(&world, "set.zip", &large, &[]).fails_with(65, "directory is longer");
    assert_untouched(&world);
}

#[test]
fn names_in_a_zip_are_utf_8_or_of_its_old_code_page() {
    let run = |name: &str, stored: &[u8]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(b"rows").unwrap();
        let mut zip = zip.finish().unwrap().into_inner();
        for at in 0..zip.len() - name.len() {
            if zip[at..].starts_with(name.as_bytes()) {
                zip[at..at + name.len()].copy_from_slice(stored);
            }
        }
        let world = World::new();
        from_file(&world, "set.zip", &zip, &[]).success();
        visible(&volume(&world))
    };
    // Not marked as UTF-8: code page 437, where this byte is an umlaut.
    assert_eq!(run("d_mp.sql", b"d\x81mp.sql"), ["d\u{fc}mp.sql"]);
    assert_eq!(run("d\u{fc}mp.sql", b"d\xc3\xbcmp.sql"), ["d\u{fc}mp.sql"]);
    // Marked as UTF-8, and none: the code page again.
    assert_eq!(
        run("d\u{fc}mp.sql", b"d\xff\x81mp.sql"),
        ["d\u{a0}\u{fc}mp.sql"]
    );
}

#[test]
fn growth_is_bounded_in_every_wrapping() {
    let mut header = tar::Header::new_gnu();
    let zeros = vec![0; 40 << 20];
    header.set_size(zeros.len() as u64);
    let mut set = tar::Builder::new(Vec::new());
    set.append_data(&mut header, "zeros.sql", &zeros[..])
        .unwrap();
    let bomb = set.into_inner().unwrap();
    for (name, bytes) in wrapped(&bomb) {
        let world = World::new();
        let most = ["--max-expansion", "50"];
        from_file(&world, name, &bytes, &most).fails_with(65, "--max-expansion");
        assert_untouched(&world);
    }
}

#[test]
fn one_wrapping_is_taken_off_and_sets_of_dumps_are_published_whole() {
    let world = World::new();
    // An archive in an archive is a file as any other: expansion does not nest.
    let inner = gzip(b"CREATE TABLE t (id INT);");
    let mut header = tar::Header::new_gnu();
    header.set_size(inner.len() as u64);
    let mut set = tar::Builder::new(Vec::new());
    set.append_data(&mut header, "b.sql.gz", &inner[..])
        .unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    set.append_data(&mut header, "a.sql", &b"evil"[..]).unwrap();
    let set = set.into_inner().unwrap();
    let twice = gzip(&gzip(&set));
    from_file(&world, "set.tar.gz", &gzip(&set), &[]).success();
    assert_eq!(visible(&volume(&world)), ["a.sql", "b.sql.gz"]);
    assert_eq!(published(&world, "b.sql.gz"), inner);
    assert_eq!(manifest(&world).files.len(), 2);
    // Twice compressed is a compressed file under the name without one suffix.
    from_file(&world, "set.tar.gz.gz", &twice, &[]).success();
    assert_eq!(published(&world, "set.tar.gz"), gzip(&set));
}
