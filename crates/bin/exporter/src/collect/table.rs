//! Collectors that are a statement and the meaning of its columns.

use std::borrow::Cow;

use async_trait::async_trait;
use pilotfish_engine::Error;
use pilotfish_engine::query::{Row, Rows, Session};

use super::{Collect, parse};
use crate::metric::{Gathered, Kind, Labels, Pair, Value};

/// A statement, and what its columns mean. Columns that are labels have the labels' names.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) sql: Cow<'static, str>,
    pub(super) labels: &'static [&'static str],
    pub(super) values: &'static [Column],
}

/// A column with values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    metric: &'static str,
    help: &'static str,
    kind: Kind,
    /// How many of the server's unit are one of the metric's.
    divisor: f64,
    /// One more label, of the columns that share a metric.
    label: Option<(&'static str, &'static str)>,
    null: Null,
}

/// What NULL means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Null {
    /// Nothing is known: no series.
    Absent,
    Zero,
    /// A series without a number, for those who look whether it is there.
    NotANumber,
}

/// A column that only grows.
pub(super) const fn counter(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
) -> Column {
    Column {
        name,
        metric,
        help,
        kind: Kind::Counter,
        divisor: 1.0,
        label: None,
        null: Null::Absent,
    }
}

/// A column that rises and falls.
pub(super) const fn gauge(name: &'static str, metric: &'static str, help: &'static str) -> Column {
    Column {
        kind: Kind::Gauge,
        ..counter(name, metric, help)
    }
}

/// A column of which nothing more is said.
pub(super) const fn untyped(
    name: &'static str,
    metric: &'static str,
    help: &'static str,
) -> Column {
    Column {
        kind: Kind::Untyped,
        ..counter(name, metric, help)
    }
}

impl Column {
    /// So many of the server's unit are one of the metric's.
    pub(super) const fn per(self, divisor: f64) -> Self {
        Self { divisor, ..self }
    }

    /// With a label that tells it from other columns of the same metric.
    pub(super) const fn with(self, label: &'static str, value: &'static str) -> Self {
        Self {
            label: Some((label, value)),
            ..self
        }
    }

    /// NULL is no number, but a series.
    pub(super) const fn or_nan(self) -> Self {
        Self {
            null: Null::NotANumber,
            ..self
        }
    }

    /// NULL is zero.
    pub(super) const fn or_zero(self) -> Self {
        Self {
            null: Null::Zero,
            ..self
        }
    }
}

#[async_trait]
impl Collect for Table {
    async fn collect(&self, session: &mut dyn Session, into: &mut Gathered) -> Result<(), Error> {
        let rows = session.rows(&self.sql).await?;
        gather(&rows, self.labels, self.values, |_| {}, into)
    }
}

/// What an answer means that is there already. `edit` may change the labels of a row.
pub(super) fn gather(
    rows: &Rows,
    labels: &[&'static str],
    values: &[Column],
    edit: impl Fn(&mut Vec<Pair>),
    into: &mut Gathered,
) -> Result<(), Error> {
    let missing = |name: &str| Error::Answer(format!("it has no column {name}"));
    let place = |name| rows.column(name).ok_or_else(|| missing(name));
    let labels = labels.iter().map(|label| Ok((*label, place(label)?)));
    let labels: Vec<_> = labels.collect::<Result<_, Error>>()?;
    let values = values
        .iter()
        .map(|column| Ok((column, place(column.name)?)));
    let values: Vec<_> = values.collect::<Result<_, Error>>()?;
    for row in rows.iter() {
        let mut labels = labels_of(&row, &labels);
        edit(&mut labels);
        let labels = labels.into();
        for (column, place) in &values {
            column.gather(row.at(*place), &labels, into);
        }
    }
    Ok(())
}

impl Column {
    fn gather(&self, cell: Option<&str>, labels: &Labels, into: &mut Gathered) {
        let value = match (cell, self.null) {
            (None, Null::Zero) => Some(0.0),
            (None, Null::NotANumber) => Some(f64::NAN),
            (cell, _) => cell.and_then(parse::number),
        };
        let Some(value) = value else { return };
        let labels = match self.label {
            Some((name, value)) => labels.clone().with(name, value),
            None => labels.clone(),
        };
        let value = Value::Number(value / self.divisor);
        into.add(self.metric, self.help, self.kind, labels, value);
    }
}

/// The labels of a row; NULL is the empty text, which Prometheus takes for a label that is not there.
fn labels_of(row: &Row<'_>, labels: &[(&'static str, usize)]) -> Vec<Pair> {
    let text = |place: usize| row.at(place).unwrap_or_default().to_owned();
    labels
        .iter()
        .map(|(name, place)| (*name, text(*place)))
        .collect()
}
