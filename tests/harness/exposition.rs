//! Metrics as a test reads them: Prometheus' text, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The labels of a series.
pub type Labels = BTreeMap<String, String>;

/// What one scrape shows.
#[derive(Debug, Clone, Default)]
pub struct Exposition {
    /// By family.
    pub families: BTreeMap<String, Family>,
}

/// The series of a family; of histograms all lines, under their own names.
#[derive(Debug, Clone, Default)]
pub struct Family {
    /// `counter`, `gauge`, `untyped` and so on.
    pub kind: String,
    /// The help text.
    pub help: String,
    /// Line's name, labels and value.
    pub series: Vec<(String, Labels, f64)>,
}

impl Exposition {
    /// Reads text in version 0.0.4.
    ///
    /// # Panics
    /// At a line that is none of it, and at a series that comes twice.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        let mut current = String::new();
        let mut seen = BTreeSet::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap_or((rest, ""));
                help.clone_into(&mut all.families.entry(name.to_owned()).or_default().help);
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type has a name");
                name.clone_into(&mut current);
                kind.clone_into(&mut all.families.entry(name.to_owned()).or_default().kind);
            } else if !line.starts_with('#') {
                let (name, labels, value) = series(line);
                assert!(name.starts_with(&current), "{line} is not of {current}");
                let family = all.families.entry(current.clone()).or_default();
                let is_new = seen.insert((name.clone(), labels.clone()));
                assert!(is_new, "twice: {line}");
                family.series.push((name, labels, value));
            }
        }
        all
    }

    /// The value of a series, by the labels that matter.
    #[must_use]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.all(name, labels).first().copied()
    }

    /// The values of all series that have these labels.
    #[must_use]
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> Vec<f64> {
        let has = |all: &Labels| {
            let mut wanted = labels.iter();
            wanted.all(|(name, value)| all.get(*name).is_some_and(|found| found == value))
        };
        let families = self.families.values().flat_map(|family| &family.series);
        let found = families.filter(|(line, all, _)| line == name && has(all));
        found.map(|(_, _, value)| *value).collect()
    }

    /// How many series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families
            .values()
            .map(|family| family.series.len())
            .sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Names and numbers of families, for messages.
impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.families {
            writeln!(f, "{name} {} {}", family.kind, family.series.len())?;
        }
        Ok(())
    }
}

/// `name{label="value",...} 1.5`.
fn series(line: &str) -> (String, Labels, f64) {
    let (head, value) = line.rsplit_once(' ').expect("a value");
    let value = value
        .parse()
        .unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, rest)) = head.split_once('{') else {
        return (head.to_owned(), Labels::new(), value);
    };
    let mut labels = Labels::new();
    let mut rest = rest.strip_suffix('}').expect("an end of the labels");
    while !rest.is_empty() {
        let (label, quoted) = rest.split_once("=\"").expect("a label");
        let mut text = String::new();
        let mut letters = quoted.char_indices();
        let end = loop {
            match letters.next().expect("an end of the value") {
                (at, '"') => break at,
                (_, '\\') => text.push(match letters.next().expect("a letter").1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, letter) => text.push(letter),
            }
        };
        labels.insert(label.to_owned(), text);
        rest = quoted[end + 1..].trim_start_matches(',');
    }
    (name.to_owned(), labels, value)
}
