//! What a folder holds and a load does not read: nobody shall take the rest for the whole.

use std::collections::HashSet;
use std::path::Path;

use pilotfish_dump::{Source, Summary, looks_like_a_dump, read_of};
use pilotfish_failure::{Failure, Kind};
use pilotfish_volume::{MANIFEST, Manifest};

use crate::Options;
use crate::release::Pinned;

/// Names that are named in messages at most.
const SHOWN: usize = 10;

/// Beginnings of the names of files that say nothing to a server.
const HARMLESS: [&str; 6] = [
    MANIFEST, "readme", "license", "licence", "copying", "notice",
];

/// Endings of such names.
const HARMLESS_ENDINGS: [&str; 7] = [
    ".sha256",
    ".sha256sum",
    ".md5",
    ".asc",
    ".sig",
    ".md",
    "sha256sums",
];

/// Says what is left out of a folder, in a sentence; `ignored` is what stands in it beside the files that
/// are read.
///
/// # Errors
/// `BadData` when a published release has dumps that are not read.
pub(crate) fn look(pinned: &Pinned, ignored: &[String]) -> Result<Option<String>, Failure> {
    let Source::Path(folder) = &pinned.source else {
        return Ok(None);
    };
    if !folder.is_dir() {
        return Ok(None);
    }
    let left_out = match &pinned.manifest {
        None => ignored.to_vec(),
        Some(manifest) => unread(manifest, folder)?,
    };
    let left_out: Vec<String> = left_out
        .into_iter()
        .filter(|name| !is_harmless(name))
        .collect();
    if left_out.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!(
        "not read: {}; of a folder the .sql files are loaded, plain or compressed, not those in its folders",
        list(&left_out)
    )))
}

/// The files of a release that are not read, none of them a dump.
fn unread(manifest: &Manifest, folder: &Path) -> Result<Vec<String>, Failure> {
    let files = || manifest.files.iter().map(|file| file.name.as_str());
    let read: HashSet<&str> = read_of(files()).into_iter().collect();
    let left_out = files().filter(|name| !read.contains(name));
    let left_out: Vec<String> = left_out.map(str::to_owned).collect();
    let is_dump = |name: &&String| looks_like_a_dump(&folder.join(name));
    let dumps: Vec<String> = left_out.iter().filter(is_dump).cloned().collect();
    if dumps.is_empty() {
        return Ok(left_out);
    }
    Err(Failure::new(
        Kind::BadData,
        format!(
            "the release has dumps that a load does not read: {}",
            list(&dumps)
        ),
    )
    .with_hint(
        "publish them beside the others, in no folder, as .sql, .sql.gz, .sql.zst, .sql.xz, .sql.bz2 or .sql.lz4",
    ))
}

/// A dump by `--tab` has its rows in files of their own, which only the client's import reads. Beside a dump that has
/// rows for the table, such a file is something else.
pub(crate) fn refuse_tab(
    pinned: &Pinned,
    summary: &Summary,
    options: &Options,
) -> Result<(), Failure> {
    let Source::Path(folder) = &pinned.source else {
        return Ok(());
    };
    let has_file = |table: &str, ending: &str| folder.join(format!("{table}.{ending}")).is_file();
    let mut empty = summary.tables.iter().filter(|(_, dumped)| dumped.rows == 0);
    let elsewhere = empty.find(|(table, _)| {
        let named = options.selects(table) && !table.contains('/');
        named && has_file(table, "sql") && has_file(table, "txt")
    });
    match elsewhere {
        None => Ok(()),
        Some((table, _)) => Err(Failure::new(
            Kind::BadData,
            format!(
                "{}: {table}.txt has the rows of a dump made with --tab, which a load does not read",
                folder.display()
            ),
        )
        .with_hint("dump without --tab; if it is no such file, take it out of the folder")),
    }
}

fn is_harmless(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let name = name.rsplit('/').next().unwrap_or_default();
    HARMLESS.iter().any(|head| name.starts_with(head))
        || HARMLESS_ENDINGS.iter().any(|end| name.ends_with(end))
}

fn list(names: &[String]) -> String {
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
