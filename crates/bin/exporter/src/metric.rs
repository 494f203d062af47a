//! Metric families as one scrape gathers them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A name, help or label that is known when this is compiled, or comes from the server.
pub(crate) type Text = Cow<'static, str>;

/// What a family's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Only a person knows.
    Untyped,
}

/// Samples of one name.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    pub(crate) help: Text,
    pub(crate) kind: Kind,
    pub(crate) samples: Vec<Sample>,
}

/// One series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) labels: Labels,
    pub(crate) value: Value,
}

/// A label's name and value.
pub(crate) type Pair = (&'static str, String);

/// Labels in the order in which they are shown. The series of one row share them: a clone is a pointer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labels(Option<Arc<Vec<Pair>>>);

impl Labels {
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn of(name: &'static str, value: impl Into<String>) -> Self {
        vec![(name, value.into())].into()
    }

    /// These and one more.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let pairs = self.0.get_or_insert_default();
        Arc::make_mut(pairs).push((name, value.into()));
        self
    }

    pub(crate) fn pairs(&self) -> &[Pair] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl From<Vec<Pair>> for Labels {
    fn from(pairs: Vec<Pair>) -> Self {
        Self((!pairs.is_empty()).then(|| Arc::new(pairs)))
    }
}

impl FromIterator<Pair> for Labels {
    fn from_iter<I: IntoIterator<Item = Pair>>(pairs: I) -> Self {
        Vec::from_iter(pairs).into()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Number(f64),
    Buckets(Box<Buckets>),
}

/// A histogram with bounds.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    /// Upper bound and how many observations are not above it, in rising order; the infinite one is `count`.
    pub(crate) cumulative: Vec<(f64, u64)>,
    pub(crate) sum: f64,
    pub(crate) count: u64,
    /// The same in buckets without bounds of their own, where it was counted so.
    pub(crate) native: Option<Native>,
}

/// Exponential buckets: number `i` has what is above `2^((i - 1) / 2^schema)` and not above `2^(i / 2^schema)`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zero_threshold: f64,
    pub(crate) zero_count: u64,
    pub(crate) positive: BTreeMap<i32, u64>,
}

/// What a scrape has gathered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gathered {
    families: BTreeMap<Text, Family>,
}

impl Gathered {
    pub(crate) fn counter(
        &mut self,
        name: impl Into<Text>,
        help: impl Into<Text>,
        labels: impl Into<Labels>,
        value: f64,
    ) {
        self.add(name, help, Kind::Counter, labels, Value::Number(value));
    }

    pub(crate) fn gauge(
        &mut self,
        name: impl Into<Text>,
        help: impl Into<Text>,
        labels: impl Into<Labels>,
        value: f64,
    ) {
        self.add(name, help, Kind::Gauge, labels, Value::Number(value));
    }

    pub(crate) fn untyped(
        &mut self,
        name: impl Into<Text>,
        help: impl Into<Text>,
        labels: impl Into<Labels>,
        value: f64,
    ) {
        self.add(name, help, Kind::Untyped, labels, Value::Number(value));
    }

    pub(crate) fn histogram(
        &mut self,
        name: impl Into<Text>,
        help: impl Into<Text>,
        labels: impl Into<Labels>,
        buckets: Buckets,
    ) {
        self.add(
            name,
            help,
            Kind::Histogram,
            labels,
            Value::Buckets(Box::new(buckets)),
        );
    }

    /// One more series. The first of a name says what all of that name are.
    pub(crate) fn add(
        &mut self,
        name: impl Into<Text>,
        help: impl Into<Text>,
        kind: Kind,
        labels: impl Into<Labels>,
        value: Value,
    ) {
        let family = self.families.entry(name.into());
        let family = family.or_insert_with(|| Family {
            help: help.into(),
            kind,
            // Most have one.
            samples: Vec::with_capacity(1),
        });
        let labels = labels.into();
        family.samples.push(Sample { labels, value });
    }

    /// Takes in what another part of the scrape gathered.
    pub(crate) fn extend(&mut self, other: Self) {
        for (name, mut family) in other.families {
            match self.families.entry(name) {
                std::collections::btree_map::Entry::Vacant(entry) => drop(entry.insert(family)),
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    entry.get_mut().samples.append(&mut family.samples);
                }
            }
        }
    }

    /// One more label for the series of some families.
    pub(crate) fn label(&mut self, name: &'static str, value: &str, which: impl Fn(&str) -> bool) {
        for (_, family) in self.families.iter_mut().filter(|(name, _)| which(name)) {
            for sample in &mut family.samples {
                sample.labels = std::mem::take(&mut sample.labels).with(name, value);
            }
        }
    }

    /// Leaves out what Prometheus would refuse a whole scrape for, and says how many series that were: one more of the
    /// same labels.
    pub(crate) fn without_duplicates(&mut self) -> u64 {
        let mut dropped = 0;
        for family in self.families.values_mut().filter(|f| f.samples.len() > 1) {
            let mut seen = HashSet::with_capacity(family.samples.len());
            let before = family.samples.len();
            family
                .samples
                .retain(|sample| seen.insert(sorted(&sample.labels)));
            dropped += (before - family.samples.len()) as u64;
        }
        dropped
    }

    /// By name.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&str, &Family)> {
        self.families
            .iter()
            .map(|(name, family)| (name.as_ref(), family))
    }

    /// How many series.
    pub(crate) fn series(&self) -> usize {
        self.families.values().map(|f| f.samples.len()).sum()
    }
}

/// One series is the same in any order of its labels. The text is for comparing only.
fn sorted(labels: &Labels) -> String {
    let mut labels: Vec<_> = labels.pairs().iter().collect();
    labels.sort_unstable();
    let mut key = String::new();
    for (name, value) in labels {
        key.push_str(name);
        key.push('\u{1}');
        key.push_str(value);
        key.push('\u{2}');
    }
    key
}

/// What a server calls something, as the end of a metric's name.
pub(crate) fn valid_name(text: &str) -> String {
    let letter = |letter: char| match letter {
        'A'..='Z' => letter.to_ascii_lowercase(),
        'a'..='z' | '0'..='9' | '_' => letter,
        _ => '_',
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&'static str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    }

    #[test]
    fn a_series_that_comes_twice_costs_one_series() {
        let mut gathered = Gathered::default();
        gathered.gauge("a", "", labels(&[("x", "1"), ("y", "2")]), 1.0);
        gathered.gauge("a", "", labels(&[("y", "2"), ("x", "1")]), 2.0);
        gathered.gauge("a", "", labels(&[("x", "12")]), 3.0);
        assert_eq!(gathered.without_duplicates(), 1);
        let (_, family) = gathered.families().next().unwrap();
        let values: Vec<_> = family.samples.iter().map(|s| s.value.clone()).collect();
        assert_eq!(values, [Value::Number(1.0), Value::Number(3.0)]);
    }

    #[test]
    fn names_of_servers_become_names_of_metrics() {
        assert_eq!(valid_name("Innodb_rows_read"), "innodb_rows_read");
        assert_eq!(valid_name("plpgsql.check-asserts"), "plpgsql_check_asserts");
    }
}
