//! What lies in the checkout: sizes, rooms, words that must not be there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{assert_none, metadata, root};

/// Lines of a source file without its in-file tests. About 400 is the aim.
const FILE_BUDGET: usize = 550;
/// A tool's main is its allocator and one call.
const MAIN_BUDGET: usize = 20;

/// Committed and new files, without ignored ones.
fn files() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root())
        .output()
        .expect("run git");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).expect("file names in UTF-8");
    let paths = names.split_terminator('\0').map(PathBuf::from);
    paths.filter(|path| root().join(path).is_file()).collect()
}

fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// Rust sources with their text.
pub(crate) fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let rust = files()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "rs"));
    rust.filter_map(|path| text(&path).map(|text| (path, text)))
}

/// Names of the folders in `shelf`, such as the tools in `crates/bin`.
fn folders(shelf: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(shelf)).expect("list a shelf");
    let entries = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().is_dir());
    entries
        .map(|entry| entry.file_name().into_string().expect("a name in UTF-8"))
        .collect()
}

#[test]
fn files_fit_their_budget() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let tests = text
            .lines()
            .position(|line| line.starts_with("mod tests {"));
        let lines = tests.unwrap_or_else(|| text.lines().count());
        if lines > FILE_BUDGET {
            complaints.push(format!("{}: {lines} lines", path.display()));
        }
        let is_tools_main = path.starts_with("crates/bin") && path.ends_with("src/main.rs");
        if is_tools_main && lines > MAIN_BUDGET {
            complaints.push(format!("{}: {lines} lines in a main", path.display()));
        }
    }
    for path in files() {
        let shell = path.extension().is_some_and(|end| end == "sh") || path == Path::new("x");
        let lines = text(&path).map_or(0, |text| text.lines().count());
        if shell && lines > FILE_BUDGET {
            complaints.push(format!("{}: {lines} lines", path.display()));
        }
    }
    assert_none(
        &format!("more than {FILE_BUDGET} lines: find the noun to split at"),
        &complaints,
    );
}

#[test]
fn files_say_what_they_are_for() {
    let mute = sources().filter(|(_, text)| !text.starts_with("//! ") && !text.starts_with("#!"));
    let complaints: Vec<_> = mute
        .filter(|(path, _)| !path.ends_with("src/main.rs") && !is_tests(path))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("a file opens with `//! ` and its purpose", &complaints);
}

/// Tests that lie in files of their own are introduced by the module they test.
fn is_tests(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "it")
}

#[test]
fn every_crate_obeys_the_workspace_lints() {
    let mut complaints = Vec::new();
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("read a manifest");
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(package.manifest_path.to_string());
        }
    }
    assert_none("add `[lints]` with `workspace = true`", &complaints);
}

#[test]
fn the_papers_name_every_room() {
    let mut complaints = Vec::new();
    let readme = text(Path::new("README.md")).unwrap_or_default();
    for tool in folders("crates/bin") {
        if !readme.contains(&format!("pilotfish-{tool}")) {
            complaints.push(format!("README.md does not name pilotfish-{tool}"));
        }
    }
    let map = text(Path::new("ARCHITECTURE.md")).unwrap_or_default();
    for room in folders("crates/bin").iter().chain(&folders("crates/lib")) {
        if !map.contains(room.as_str()) {
            complaints.push(format!("ARCHITECTURE.md does not name {room}"));
        }
    }
    for paper in ["CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"] {
        if text(Path::new(paper)).is_none() {
            complaints.push(format!("{paper} is missing"));
        }
    }
    assert_none("the papers keep up with the house", &complaints);
}

#[test]
fn every_promise_names_tests_that_exist() {
    let sources: Vec<String> = sources().map(|(_, text)| text).collect();
    let promises = text(Path::new("docs/guarantees.md")).unwrap_or_default();
    let rows = promises.lines().filter(|line| line.starts_with('|'));
    let held_by = rows.filter_map(|row| row.split('|').nth(2));
    // Between backticks.
    let names = held_by.flat_map(|tests| tests.split('`').skip(1).step_by(2));
    let mut complaints: Vec<String> = names
        .filter(|name| !sources.iter().any(|text| has_test(text, name)))
        .map(str::to_owned)
        .collect();
    if promises.is_empty() {
        complaints.push("docs/guarantees.md is missing".to_owned());
    }
    assert_none("a promise without a test is a wish", &complaints);
}

#[test]
fn the_readme_shows_the_grants_that_the_tests_run_with() {
    let grants = text(Path::new("manifests/account/grants.sql")).unwrap_or_default();
    let readme = text(Path::new("README.md")).unwrap_or_default();
    assert!(
        !grants.is_empty() && readme.contains(&grants),
        "copy them into README.md"
    );
}

/// Whether a source has a test of that name: a function with the attribute of a test right above it.
fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_function = |line: &str| {
        let line = line.strip_prefix("async ").unwrap_or(line);
        let named = line
            .strip_prefix("fn ")
            .and_then(|it| it.strip_prefix(name));
        named.is_some_and(|rest| rest.starts_with('('))
    };
    let is_test = |at: usize| {
        let above = lines[..at].iter().rev();
        let mut attributes =
            above.take_while(|line| line.starts_with('#') || line.starts_with("//"));
        attributes.any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    };
    let mut places = (0..lines.len()).filter(|at| is_function(lines[*at]));
    places.any(is_test)
}

#[test]
fn only_tests_count_as_tests() {
    let test = "#[test]\n// A word.\nfn holds() {\n}\n";
    let later = "    #[tokio::test(flavor = \"multi_thread\")]\n    async fn holds() {}\n";
    assert!(has_test(test, "holds") && has_test(later, "holds"));
    for none in [
        "fn holds() {\n",
        "// fn holds() {\n",
        "#[test]\nfn other() {}\n\nfn holds() {\n",
        "#[test]\nfn holds_more() {\n",
        "#[cfg(test)]\nfn holds() {\n",
    ] {
        assert!(!has_test(none, "holds"), "{none}");
    }
}

#[test]
fn every_source_file_is_compiled() {
    let metadata = metadata();
    let roots: BTreeSet<PathBuf> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.targets)
        .filter_map(|target| target.src_path.as_std_path().strip_prefix(root()).ok())
        .map(Path::to_owned)
        .collect();
    let sources: Vec<_> = sources()
        .filter(|(path, _)| !path.starts_with("fuzz"))
        .collect();
    let mut complaints = Vec::new();
    for (path, _) in &sources {
        let is_folder = path.ends_with("mod.rs");
        let (module, folder) = if is_folder {
            let folder = path.parent().unwrap_or(path);
            (folder.file_name(), folder.parent())
        } else {
            (path.file_stem(), path.parent())
        };
        let module = module.and_then(|name| name.to_str()).unwrap_or_default();
        let folder = folder.unwrap_or(Path::new(""));
        let declared = sources.iter().any(|(parent, text)| {
            let beside = parent.parent() == Some(folder)
                && (parent.ends_with("mod.rs") || roots.contains(parent));
            let above = parent.with_extension("") == folder;
            (beside || above) && text.lines().any(|line| declares(line, module))
        });
        if !roots.contains(path) && !declared {
            complaints.push(path.display().to_string());
        }
    }
    assert_none(
        "no `mod` line leads to the file, so its tests never run",
        &complaints,
    );
}

/// Whether a line is `mod name;`, of any visibility.
fn declares(line: &str, module: &str) -> bool {
    let line = line.trim();
    let line = line.find("mod ").map_or(line, |at| &line[at..]);
    line.strip_prefix("mod ")
        .and_then(|line| line.strip_suffix(';'))
        == Some(module)
}

#[test]
fn no_test_is_switched_off() {
    let marker = concat!("#[ig", "nore");
    let complaints: Vec<_> = sources()
        .filter(|(_, text)| text.contains(marker))
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_none("a test that cannot run fails and says why", &complaints);
}

#[test]
fn nothing_names_one_machine_or_a_registry() {
    // Split, so that this file does not name them either.
    let words = [
        concat!("/home", "/"),
        concat!("/root", "/"),
        concat!("/work", "/"),
        concat!("py", "pi.org"),
        concat!("python", "hosted"),
        concat!("index.crates", ".io"),
        concat!("static.crates", ".io"),
        concat!("npm", "js.org"),
        concat!("proxy.go", "lang.org"),
    ];
    let mut complaints = Vec::new();
    for path in files() {
        let Some(text) = text(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{}: {word}", path.display(), number + 1));
            }
        }
    }
    assert_none("works on every machine, from every mirror", &complaints);
}
