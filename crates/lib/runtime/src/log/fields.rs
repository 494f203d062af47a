//! Settings as fields: `settle=2s server.user=pilotfish`.
//!
//! Tools hand their settings over by `Debug`, which knows what is secret. Its pretty form has one
//! value or one bracket per line; a type that writes itself otherwise is shown as it does.

use std::fmt::{self, Write as _};

/// One bracket that is open.
struct Level<'a> {
    name: Option<String>,
    /// Type or variant.
    kind: &'a str,
    /// Brackets opened in it so far, where it is a list: their names.
    items: Option<usize>,
    /// Whether a value was found in it.
    filled: bool,
}

/// Dotted names and values in the order of the settings, without those that are unset.
pub(super) fn of(settings: &impl fmt::Debug) -> Vec<(String, String)> {
    let text = format!("{settings:#?}");
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut path: Vec<Level<'_>> = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        let line = line.strip_suffix(',').unwrap_or(line);
        if matches!(line, "}" | ")" | "]") {
            let Some(closed) = path.pop() else { continue };
            if closed.filled {
                fill(&mut path);
            } else if let Some(name) = closed.chosen() {
                fill(&mut path);
                fields.push((dotted(&path, Some(name)), closed.kind.to_owned()));
            }
            continue;
        }
        let (name, value) = match line.split_once(": ") {
            Some((name, value)) if is_name(name) => (Some(name), value),
            _ => (None, line),
        };
        if let Some(kind) = value.strip_suffix(['{', '(', '[']) {
            let items = path.last_mut().and_then(|level| level.items.as_mut());
            let item = items.map(|items| {
                *items += 1;
                items.to_string()
            });
            path.push(Level {
                name: name.map(str::to_owned).or(item),
                kind: kind.trim(),
                items: value.ends_with('[').then_some(0),
                filled: false,
            });
        } else if !matches!(value, "None" | "[]" | "{}") {
            fill(&mut path);
            let (name, value) = (dotted(&path, name), unquoted(value));
            match fields.last_mut().filter(|(last, _)| *last == name) {
                Some((_, list)) => list.push_str(&format!(",{value}")),
                None => fields.push((name, value)),
            }
        }
    }
    fields
}

/// The fields in one line for people.
pub(super) fn line(fields: &[(String, String)]) -> String {
    let mut line = String::new();
    for (name, value) in fields {
        let plain = !value.is_empty() && !value.contains([' ', '"', '=']);
        // Writing into a String cannot fail.
        let _ = if plain {
            write!(line, " {name}={value}")
        } else {
            write!(line, " {name}={value:?}")
        };
    }
    line.trim_start().to_owned()
}

impl Level<'_> {
    /// Of a variant whose fields are all unset its name is what was chosen; a structure is called as its
    /// field, and its name says nothing.
    fn chosen(&self) -> Option<&str> {
        let name = self.name.as_deref()?;
        let structure = name.replace('_', "").eq_ignore_ascii_case(self.kind);
        (!structure && !self.kind.is_empty()).then_some(name)
    }
}

fn fill(path: &mut [Level<'_>]) {
    if let Some(level) = path.last_mut() {
        level.filled = true;
    }
}

fn dotted(path: &[Level<'_>], name: Option<&str>) -> String {
    let names: Vec<&str> = path
        .iter()
        .filter_map(|level| level.name.as_deref())
        .chain(name)
        .collect();
    match names.as_slice() {
        [] => "value".to_owned(),
        names => names.join("."),
    }
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !text.is_empty() && text.bytes().all(plain)
}

fn unquoted(value: &str) -> String {
    match value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        Some(text) => text.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::time::Duration;

    struct Hidden;

    impl fmt::Debug for Hidden {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("***")
        }
    }

    #[expect(dead_code, reason = "read by Debug")]
    #[derive(Debug)]
    enum Verb {
        Status,
        Rollback { database: Option<String> },
        Watch(Box<Settings>),
    }

    #[expect(dead_code, reason = "read by Debug")]
    #[derive(Debug)]
    struct Settings {
        path: PathBuf,
        settle: Duration,
        user: Option<String>,
        password: Option<Hidden>,
        checks: Vec<String>,
        port: Option<u16>,
        skip: Vec<String>,
        verb: Verb,
        also: Verb,
    }

    #[expect(dead_code, reason = "read by Debug")]
    #[derive(Debug)]
    struct Servers {
        targets: Vec<Server>,
        tls: Tls,
    }

    #[expect(dead_code, reason = "read by Debug")]
    #[derive(Debug, Default)]
    struct Server {
        tls: Tls,
    }

    #[expect(dead_code, reason = "read by Debug")]
    #[derive(Debug, Default)]
    struct Tls {
        ca: Option<u8>,
    }

    #[test]
    fn settings_are_dotted_names_with_plain_values() {
        let settings = Settings {
            path: "/volume".into(),
            settle: Duration::from_secs(2),
            user: Some("a: \"b\"".to_owned()),
            password: Some(Hidden),
            checks: vec!["SELECT 1".to_owned(), "SELECT {".to_owned()],
            port: None,
            skip: Vec::new(),
            verb: Verb::Rollback { database: None },
            also: Verb::Status,
        };
        assert_eq!(
            line(&of(&Verb::Watch(Box::new(settings)))),
            r#"path=/volume settle=2s user="a: \"b\"" password=*** checks="SELECT 1,SELECT {" verb=Rollback also=Status"#
        );
        let nested = Some(Verb::Rollback {
            database: Some("app".to_owned()),
        });
        assert_eq!(line(&of(&nested)), "database=app");
        let two = Servers {
            targets: vec![
                Server::default(),
                Server {
                    tls: Tls { ca: Some(7) },
                },
            ],
            tls: Tls::default(),
        };
        assert_eq!(line(&of(&two)), "targets.1=Server targets.2.tls.ca=7");
        assert_eq!(line(&of(&7)), "value=7");
    }
}
