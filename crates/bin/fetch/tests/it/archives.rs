//! Compressions, sets of files, and archives that mean harm.

use std::io::Write;

use pilotfish_harness::{Finished, World};
use tar::EntryType;
use zip::write::SimpleFileOptions;

use crate::{assert_untouched, dump, fetch, manifest, published, sha256, stored, visible, volume};

pub(crate) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn from_file(world: &World, name: &str, content: &[u8], args: &[&str]) -> Finished {
    let path = stored(world, &format!("source/{name}"), content);
    fetch(world, &format!("file://{}", path.display()))
        .args(args)
        .run()
}

#[test]
fn every_compression_is_known_by_its_content() {
    let content = dump(700_000, 1);
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
    xz.write_all(&content).unwrap();
    let mut bz2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bz2.write_all(&content).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&content).unwrap();
    let stored = [
        ("gz", gzip(&content)),
        ("zst", zstd::encode_all(&content[..], 1).unwrap()),
        ("xz", xz.finish().unwrap()),
        ("bz2", bz2.finish().unwrap()),
        ("lz4", lz4.finish().unwrap()),
    ];
    for (suffix, stored) in stored {
        let world = World::new();
        let name = format!("dump.sql.{suffix}");
        from_file(&world, &name, &stored, &[]).success();
        assert!(
            published(&world, "dump.sql") == content,
            "{suffix}: other bytes"
        );
        let release = manifest(&world);
        assert_eq!(release.sha256, sha256(&stored), "{suffix}");
        assert_eq!(release.files[0].sha256, sha256(&content), "{suffix}");

        from_file(&world, &name, &stored, &["--decompress", "keep"]).success();
        assert!(published(&world, &name) == stored, "{suffix}: other bytes");
        // A wrong name does not matter.
        from_file(&world, "dump.txt", &stored, &[]).success();
        assert!(
            published(&world, "dump.txt") == content,
            "{suffix}: other bytes"
        );
        let cut = from_file(&World::new(), &name, &stored[..stored.len() - 9], &[]);
        cut.fails_with(65, "stored cut off");
    }
}

#[test]
fn sets_are_unpacked_with_safe_modes() {
    let world = World::new();
    let mut set = tar::Builder::new(Vec::new());
    for (name, text) in [("./01-schema.sql", "schema"), ("data/02-rows.sql", "rows")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o4777);
        set.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    let set = set.into_inner().unwrap();
    from_file(&world, "set.tar.gz", &gzip(&set), &[]).success();
    assert_eq!(visible(&volume(&world)), ["01-schema.sql", "data"]);
    assert_eq!(published(&world, "01-schema.sql"), b"schema");
    assert_eq!(published(&world, "data/02-rows.sql"), b"rows");
    let names: Vec<_> = manifest(&world)
        .files
        .into_iter()
        .map(|file| file.name)
        .collect();
    assert_eq!(names, ["01-schema.sql", "data/02-rows.sql"]);
    let file = std::fs::metadata(volume(&world).join("01-schema.sql")).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
    assert_eq!(mode & 0o7777, 0o644);

    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.add_directory("deep/", SimpleFileOptions::default())
        .unwrap();
    zip.start_file("deep/rows.sql", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(&dump(300_000, 2)).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    from_file(&world, "set.zip", &zip, &[]).success();
    assert_eq!(published(&world, "deep/rows.sql"), dump(300_000, 2));
    assert_eq!(visible(&volume(&world)), ["deep"]);
    // A set cut between two entries ends like a whole one, but for the end mark.
    let world = World::new();
    from_file(&world, "cut.tar", &set[..2048], &[]).fails_with(65, "end of the archive");
    from_file(&world, "cut.zip", &zip[..zip.len() - 30], &[]).fails_with(65, "cut.zip");
    assert_untouched(&world);
}

/// A tar with one entry whose name is not checked by the library that writes it.
pub(crate) fn entry(name: &[u8], kind: EntryType, link: Option<&str>) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    let content: &[u8] = if kind == EntryType::Regular {
        b"evil"
    } else {
        b""
    };
    header.set_size(content.len() as u64);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    if let Some(link) = link {
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut set = tar::Builder::new(Vec::new());
    set.append(&header, content).unwrap();
    set.into_inner().unwrap()
}

#[test]
fn archives_that_mean_harm_are_refused() {
    let hostile = [
        (
            "climbs",
            entry(b"../evil.sql", EntryType::Regular, None),
            "leads out",
        ),
        (
            "climbs deep",
            entry(b"a/../../evil.sql", EntryType::Regular, None),
            "leads out",
        ),
        (
            "absolute",
            entry(b"/tmp/evil.sql", EntryType::Regular, None),
            "leads out",
        ),
        (
            "backslash",
            entry(b"..\\evil.sql", EntryType::Regular, None),
            "portable",
        ),
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
        ("fifo", entry(b"a.sql", EntryType::Fifo, None), "device"),
        ("device", entry(b"a.sql", EntryType::Char, None), "device"),
        (
            "the live link",
            entry(b"..data/a.sql", EntryType::Regular, None),
            "volume",
        ),
        (
            "the manifest",
            entry(b"release.json", EntryType::Regular, None),
            "volume",
        ),
        (
            "nothing",
            entry(b"folder/", EntryType::Directory, None),
            "no file",
        ),
    ];
    for (what, set, reason) in hostile {
        let world = World::new();
        let refused = from_file(&world, "set.tar", &set, &[]);
        assert_eq!(refused.code, Some(65), "{what}: {refused}");
        assert!(refused.stderr.contains(reason), "{what}: {refused}");
        assert_untouched(&world);
        assert!(!world.join("evil.sql").exists() && !volume(&world).join("evil.sql").exists());
    }
}

type ZipInMemory = zip::ZipWriter<std::io::Cursor<Vec<u8>>>;

#[test]
fn zips_that_mean_harm_are_refused() {
    let write = |fill: &dyn Fn(&mut ZipInMemory)| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        fill(&mut zip);
        zip.finish().unwrap().into_inner()
    };
    let options = SimpleFileOptions::default();
    let climbs = write(&|zip| {
        zip.start_file("../evil.sql", options).unwrap();
        zip.write_all(b"evil").unwrap();
    });
    let link = write(&|zip| zip.add_symlink("a.sql", "/etc/passwd", options).unwrap());
    let bomb = write(&|zip| {
        zip.start_file("zeros.sql", options).unwrap();
        zip.write_all(&vec![0; 40 << 20]).unwrap();
    });
    for (what, zip, reason) in [
        ("climbs", climbs, "leads out"),
        ("link", link, "link"),
        ("bomb", bomb, "--max-expansion"),
    ] {
        let world = World::new();
        let refused = from_file(&world, "set.zip", &zip, &[]);
        assert_eq!(refused.code, Some(65), "{what}: {refused}");
        assert!(refused.stderr.contains(reason), "{what}: {refused}");
        assert_untouched(&world);
    }
}

#[test]
fn absurd_growth_is_refused() {
    let world = World::new();
    let bomb = zstd::encode_all(&vec![0; 64 << 20][..], 1).unwrap();
    from_file(&world, "bomb.sql.zst", &bomb, &[]).fails_with(65, "--max-expansion");
    let small = gzip(&dump(3_000_000, 3));
    let most = ["--max-bytes", "1MiB"];
    from_file(&world, "large.sql.gz", &small, &most).fails_with(65, "--max-bytes");
    assert_untouched(&world);
}
