//! The fixtures: dumps with a word about what shall become of them.
//!
//! A file of `tests/fixtures/grammar` holds one or more cases. A line `--: case NAME` begins one; what
//! comes before the first is a case of its own. In a case, the lines at its beginning that start with
//! `--: ` are for the test and are taken out; the rest is the dump, byte for byte:
//!
//! - `only KINDS`: only on these servers: `mariadb`, `mysql`, or a kind's own name, with commas
//! - `args ..`: more arguments for `load`
//! - `names its database`: the dump makes the database itself, and `load` gets no `--into`
//! - `refused TEXT`: the client takes it, `load` ends with 65 and says TEXT, and nothing is in `app`
//! - `both refuse TEXT`: the client ends with an error too
//! - `load refuses TEXT`: as `refused`; what the client does depends on its version
//! - `only load WHY`: the client ends with an error, `load` takes it
//! - `differs WHY`: both take it and store something else, which is meant
//! - `gives SQL => ROWS`: what this gives in `load`'s database; rows are parted by ` / `
//! - `on KINDS DIRECTIVE`: the directive holds on these servers only
//!
//! Without a word about the outcome, the client and `load` shall make the same of the dump.

use std::path::Path;

use pilotfish_harness::ServerKind;

/// What shall become of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    Refused(String),
    BothRefuse(String),
    LoadRefuses(String),
    OnlyLoad,
    Differs,
}

/// One dump.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) args: Vec<String>,
    pub(super) names_its_database: bool,
    /// Questions and answers.
    pub(super) gives: Vec<(String, String)>,
    pub(super) dump: Vec<u8>,
}

/// The cases of all files for this server, in name order.
pub(super) fn all(kind: ServerKind) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/fixtures/grammar");
    let entries = std::fs::read_dir(&folder).expect("list the fixtures");
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("list the fixtures").path())
        .collect();
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let text = std::fs::read(&path).expect("read a fixture");
        for (name, part) in parts(&text) {
            let name = match name {
                Some(name) => format!("{stem}: {name}"),
                None => stem.clone().into_owned(),
            };
            cases.extend(case(name, &part, kind));
        }
    }
    cases
}

/// The text between the lines `--: case NAME`, each with its name.
fn parts(text: &[u8]) -> Vec<(Option<String>, Vec<u8>)> {
    let mut parts = vec![(None, Vec::new())];
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"--: case ") {
            Some(name) => {
                let name = String::from_utf8_lossy(name).trim().to_owned();
                parts.push((Some(name), Vec::new()));
            }
            None => parts.last_mut().expect("a part").1.extend_from_slice(line),
        }
    }
    parts.retain(|(_, text)| !text.trim_ascii().is_empty());
    parts
}

fn case(name: String, text: &[u8], kind: ServerKind) -> Option<Case> {
    let mut case = Case {
        name,
        outcome: Outcome::Same,
        args: Vec::new(),
        names_its_database: false,
        gives: Vec::new(),
        dump: Vec::new(),
    };
    let mut rest = text;
    while let Some(after) = rest.strip_prefix(b"--: ") {
        let end = after.iter().position(|byte| *byte == b'\n')?;
        let directive = String::from_utf8_lossy(&after[..end]).into_owned();
        rest = &after[end + 1..];
        if !case.follow(&directive, kind) {
            return None;
        }
    }
    rest.clone_into(&mut case.dump);
    Some(case)
}

impl Case {
    /// Takes a directive; `false` if the case is not for this server.
    fn follow(&mut self, directive: &str, kind: ServerKind) -> bool {
        let take = |head: &str| directive.strip_prefix(head).map(str::trim);
        if take("only load ").is_some() {
            self.outcome = Outcome::OnlyLoad;
        } else if let Some(kinds) = take("only ") {
            return is_one_of(kind, kinds);
        } else if let Some(rest) = take("on ") {
            let (kinds, directive) = rest.split_once(' ').expect("`on KINDS DIRECTIVE`");
            return !is_one_of(kind, kinds) || self.follow(directive, kind);
        } else if let Some(args) = take("args ") {
            self.args.extend(args.split_whitespace().map(str::to_owned));
        } else if directive == "names its database" {
            self.names_its_database = true;
        } else if let Some(text) = take("refused ") {
            self.outcome = Outcome::Refused(text.to_owned());
        } else if let Some(text) = take("both refuse ") {
            self.outcome = Outcome::BothRefuse(text.to_owned());
        } else if let Some(text) = take("load refuses ") {
            self.outcome = Outcome::LoadRefuses(text.to_owned());
        } else if take("differs ").is_some() {
            self.outcome = Outcome::Differs;
        } else if directive == "same" {
            self.outcome = Outcome::Same;
        } else {
            let question = take("gives ").expect("a directive of those above");
            let (sql, rows) = question.split_once(" => ").expect("`gives SQL => ROWS`");
            self.gives.push((sql.to_owned(), rows.to_owned()));
        }
        true
    }
}

fn is_one_of(kind: ServerKind, kinds: &str) -> bool {
    let family = if kind.is_mariadb() {
        "mariadb"
    } else {
        "mysql"
    };
    kinds
        .split(',')
        .any(|one| one == family || one == kind.name())
}
