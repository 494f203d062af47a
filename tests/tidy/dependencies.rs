//! Who may depend on whom, and on what.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, Package};

use crate::tree::sources;
use crate::{assert_none, metadata, root};

/// Leaves: anybody may use them.
const LEAVES: [&str; 3] = ["failure", "quantity", "sql"];
/// Rooms that never meet below the storey of `loader` and the tools.
const INDEPENDENT: [&str; 5] = ["engine", "storage", "dump", "volume", "runtime"];
/// What `loader` is made of, beside the leaves.
const LOADER: [&str; 3] = ["dump", "engine", "volume"];
/// What `fetch` knows of `dump`: its decompressors.
const FETCHS_DUMP: &str = "pilotfish_dump::compress";
/// Tools that move objects.
const MAY_USE_STORAGE: [&str; 1] = ["fetch"];
/// One TLS stack, rustls over ring: a second provider costs a C toolchain and doubles the audits.
const BANNED: [&str; 5] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "native-tls",
    "openssl",
    "openssl-sys",
];
const LICENCES: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "bzip2-1.0.6",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// A workspace member's shelf and name: `("bin", "fetch")`, `("lib", "engine")`, `("", "harness")`.
fn place(package: &Package) -> (&str, &str) {
    let folder = package
        .manifest_path
        .parent()
        .expect("a manifest lies in a folder");
    let shelf = folder
        .parent()
        .and_then(|shelf| shelf.file_name())
        .unwrap_or_default();
    let name = package
        .name
        .strip_prefix("pilotfish-")
        .unwrap_or(&package.name);
    (
        if matches!(shelf, "bin" | "lib") {
            shelf
        } else {
            ""
        },
        name,
    )
}

/// What the member's shipped code depends on directly; tests may use more.
fn shipped(package: &Package) -> impl Iterator<Item = &str> {
    let normal = |kind| matches!(kind, DependencyKind::Normal | DependencyKind::Build);
    package
        .dependencies
        .iter()
        .filter(move |it| normal(it.kind))
        .map(|it| it.name.as_str())
}

fn members(metadata: &Metadata) -> BTreeMap<&str, (&str, &Package)> {
    let places = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (place(package), package));
    places
        .map(|((shelf, name), package)| (name, (shelf, package)))
        .collect()
}

#[test]
fn rooms_depend_downwards_only() {
    let metadata = metadata();
    let members = members(&metadata);
    let mut complaints = Vec::new();
    for (name, (shelf, package)) in &members {
        for other in shipped(package).filter_map(|it| it.strip_prefix("pilotfish-")) {
            let Some((other_shelf, _)) = members.get(other) else {
                continue;
            };
            if !shelf.is_empty() && *other_shelf != "lib" {
                complaints.push(format!(
                    "{name} -> {other}: only libraries may be depended on"
                ));
            }
            if LEAVES.contains(name) && !LEAVES.contains(&other) {
                complaints.push(format!("{name} -> {other}: a leaf depends on leaves only"));
            }
            if INDEPENDENT.contains(name) && !LEAVES.contains(&other) {
                complaints.push(format!(
                    "{name} -> {other}: they meet in loader or in a tool"
                ));
            }
            if *name == "loader" && !LEAVES.contains(&other) && !LOADER.contains(&other) {
                complaints.push(format!("{name} -> {other}: it is {}", LOADER.join(" + ")));
            }
            if *shelf == "lib" && other == "runtime" {
                complaints.push(format!("{name} -> runtime: a library knows no process"));
            }
            if other == "storage" && !MAY_USE_STORAGE.contains(name) {
                complaints.push(format!("{name} -> storage: only tools that move objects"));
            }
        }
    }
    assert_none(
        "bin -> lib, and libraries stay apart (ARCHITECTURE.md)",
        &complaints,
    );
}

#[test]
fn fetch_takes_only_decompressors_from_dump() {
    let mut complaints = Vec::new();
    for (path, text) in sources().filter(|(path, _)| path.starts_with("crates/bin/fetch/src")) {
        for (number, line) in text.lines().enumerate() {
            if line.contains("pilotfish_dump") && !line.contains(FETCHS_DUMP) {
                complaints.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert_none("what a dump says is not for fetch to know", &complaints);
}

#[test]
fn only_storage_knows_clouds() {
    let metadata = metadata();
    let mut complaints = Vec::new();
    for (name, (_, package)) in members(&metadata) {
        for other in shipped(package) {
            let cloud = other.starts_with("aws-") || other == "object_store";
            if cloud && name != "storage" {
                complaints.push(format!("{name} -> {other}"));
            }
        }
    }
    assert_none("cloud SDKs live behind the storage trait", &complaints);
}

#[test]
fn one_tls_stack() {
    let metadata = metadata();
    let mut complaints: Vec<_> = metadata
        .packages
        .iter()
        .filter(|package| BANNED.contains(&package.name.as_str()))
        .map(|package| {
            format!(
                "{} {}: see `cargo tree -i {0}`",
                package.name, package.version
            )
        })
        .collect();
    let versions: BTreeSet<_> = metadata
        .packages
        .iter()
        .filter(|package| package.name.as_str() == "rustls")
        .map(|package| package.version.to_string())
        .collect();
    if versions.len() > 1 {
        complaints.push(format!("rustls in several versions: {versions:?}"));
    }
    assert_none(
        "rustls over ring is the only TLS; spell features out",
        &complaints,
    );
}

#[test]
fn licences_allow_static_binaries() {
    let metadata = metadata();
    let mut complaints = Vec::new();
    for package in &metadata.packages {
        let licence = package.license.as_deref().unwrap_or("none stated");
        if !allowed(licence) {
            complaints.push(format!("{} {}: {licence}", package.name, package.version));
        }
    }
    assert_none(
        "licence not on the list in tests/tidy/dependencies.rs",
        &complaints,
    );
}

/// Whether an SPDX expression leaves a choice of listed licences. `AND` binds tighter than `OR`;
/// the old `MIT/Apache-2.0` means OR.
fn allowed(expression: &str) -> bool {
    let expression = expression.trim().replace('/', " OR ");
    any_of(&expression, " OR ", |one| {
        !any_of(one, " AND ", |part| {
            let inner = part
                .trim()
                .strip_prefix('(')
                .and_then(|part| part.strip_suffix(')'));
            !inner.map_or_else(|| LICENCES.contains(&part.trim()), allowed)
        })
    })
}

/// Whether `accept` holds for a part of `text` between separators that stand outside parentheses.
fn any_of(text: &str, separator: &str, accept: impl Fn(&str) -> bool) -> bool {
    let mut depth = 0_i32;
    let mut start = 0;
    for (at, character) in text.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 && text[at..].starts_with(separator) => {
                if accept(&text[start..at]) {
                    return true;
                }
                start = at + separator.len();
            }
            _ => {}
        }
    }
    accept(&text[start.min(text.len())..])
}

#[test]
fn licence_expressions_are_understood() {
    assert!(allowed("MIT OR Apache-2.0") && allowed("MIT/Apache-2.0") && allowed("GPL-3.0 OR MIT"));
    assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!allowed("MIT AND GPL-3.0") && !allowed("GPL-3.0") && !allowed("(MIT OR ISC) AND X"));
}

#[test]
fn every_dependency_is_used_and_has_its_reason() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let metadata = metadata();
    let used: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[workspace.dependencies]")
        .skip(1);
    let mut complaints = Vec::new();
    for line in lines.take_while(|line| !line.starts_with('[')) {
        let Some((name, rest)) = line.split_once(" = ") else {
            continue;
        };
        if name.starts_with('#') || name.starts_with("pilotfish-") {
            continue;
        }
        if !rest.contains(" # ") {
            complaints.push(format!("{name}: say in a comment why it is here"));
        }
        if !used.contains(name) {
            complaints.push(format!("{name}: no crate uses it"));
        }
    }
    assert_none("[workspace.dependencies]", &complaints);
}
