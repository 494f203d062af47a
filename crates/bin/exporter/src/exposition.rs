//! The formats that Prometheus reads.
//!
//! Text 0.0.4 by default, OpenMetrics 1.0 for whoever asks for it. Names are the same in both: where OpenMetrics wants
//! `_total` behind a counter that has had no such ending in any dashboard for ten years, the type goes and the name
//! stays.

mod protobuf;

use std::fmt::Write as _;

use crate::metric::{Buckets, Family, Gathered, Kind, Labels, Value};

/// About so many bytes are handed on at a time.
const PIECE: usize = 16 << 10;

/// A format that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    OpenMetrics,
    /// Binary, with native histograms; Prometheus asks for it where it takes those.
    Protobuf,
}

impl Format {
    /// The best that an `Accept` header takes.
    pub(crate) fn accepted(header: Option<&str>) -> Self {
        let weight = |media: &str| {
            header
                .into_iter()
                .flat_map(|all| all.split(','))
                .find_map(|one| {
                    let mut parts = one.split(';').map(str::trim);
                    let named = parts
                        .next()
                        .is_some_and(|name| name.eq_ignore_ascii_case(media));
                    let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
                    named.then(|| quality.unwrap_or(1.0_f64))
                })
        };
        let mut best = (Self::Text, weight("text/plain").unwrap_or(0.0));
        for (format, media) in [
            (Self::OpenMetrics, "application/openmetrics-text"),
            (Self::Protobuf, "application/vnd.google.protobuf"),
        ] {
            match weight(media) {
                Some(wanted) if wanted > 0.0 && wanted >= best.1 => best = (format, wanted),
                _ => {}
            }
        }
        best.0
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }

    /// All of it, as the body of an answer, in pieces: of ten thousand tables the whole would be megabytes. No family is in
    /// two parts.
    pub(crate) fn write(self, parts: &[&Gathered], mut take: impl FnMut(&[u8])) {
        let families = parts.iter().flat_map(|part| part.families());
        match self {
            Self::Protobuf => {
                for (name, family) in families {
                    take(&protobuf::encoded(name, family));
                }
            }
            Self::Text | Self::OpenMetrics => self.text(families, take),
        }
    }

    fn text<'a>(
        self,
        families: impl Iterator<Item = (&'a str, &'a Family)>,
        mut take: impl FnMut(&[u8]),
    ) {
        let mut out = String::with_capacity(2 * PIECE);
        for (name, family) in families {
            self.head(&mut out, name, family);
            for sample in &family.samples {
                match &sample.value {
                    Value::Number(value) => line(&mut out, name, "", &sample.labels, None, *value),
                    Value::Buckets(buckets) => histogram(&mut out, name, &sample.labels, buckets),
                }
                if out.len() > PIECE {
                    take(out.as_bytes());
                    out.clear();
                }
            }
        }
        if self == Self::OpenMetrics {
            out.push_str("# EOF\n");
        }
        take(out.as_bytes());
    }

    /// For tests of what is gathered.
    #[cfg(test)]
    pub(crate) fn shown(gathered: &Gathered) -> String {
        Self::Text.whole(gathered)
    }

    #[cfg(test)]
    fn whole(self, gathered: &Gathered) -> String {
        let mut all = Vec::new();
        self.write(&[gathered], |piece| all.extend_from_slice(piece));
        String::from_utf8(all).unwrap()
    }

    fn head(self, out: &mut String, name: &str, family: &Family) {
        let (family_name, kind) = match (self, family.kind) {
            (Self::Text | Self::Protobuf, Kind::Counter) => (name, "counter"),
            (Self::OpenMetrics, Kind::Counter) => match name.strip_suffix("_total") {
                Some(base) => (base, "counter"),
                None => (name, "unknown"),
            },
            (_, Kind::Gauge) => (name, "gauge"),
            (_, Kind::Histogram) => (name, "histogram"),
            (Self::Text | Self::Protobuf, Kind::Untyped) => (name, "untyped"),
            (Self::OpenMetrics, Kind::Untyped) => (name, "unknown"),
        };
        out.push_str("# HELP ");
        out.push_str(family_name);
        out.push(' ');
        escape(out, &family.help, self == Self::OpenMetrics);
        out.push_str("\n# TYPE ");
        out.push_str(family_name);
        out.push(' ');
        out.push_str(kind);
        out.push('\n');
    }
}

fn histogram(out: &mut String, name: &str, labels: &Labels, buckets: &Buckets) {
    for (bound, count) in &buckets.cumulative {
        line(out, name, "_bucket", labels, Some(*bound), *count as f64);
    }
    line(
        out,
        name,
        "_bucket",
        labels,
        Some(f64::INFINITY),
        buckets.count as f64,
    );
    line(out, name, "_sum", labels, None, buckets.sum);
    line(out, name, "_count", labels, None, buckets.count as f64);
}

fn line(
    out: &mut String,
    name: &str,
    ending: &str,
    labels: &Labels,
    bound: Option<f64>,
    value: f64,
) {
    out.push_str(name);
    out.push_str(ending);
    let mut separator = '{';
    for (label, value) in labels.pairs() {
        out.push(separator);
        separator = ',';
        out.push_str(label);
        out.push_str("=\"");
        escape(out, value, true);
        out.push('"');
    }
    if let Some(bound) = bound {
        out.push(separator);
        separator = ',';
        out.push_str("le=\"");
        number(out, bound);
        out.push('"');
    }
    if separator == ',' {
        out.push('}');
    }
    out.push(' ');
    number(out, value);
    out.push('\n');
}

/// The shortest text that reads back as the same number.
fn number(out: &mut String, value: f64) {
    if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
        let _ = write!(out, "{value:e}");
    } else {
        let _ = write!(out, "{value}");
    }
}

fn escape(out: &mut String, text: &str, quotes: bool) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Gathered {
        let mut gathered = Gathered::default();
        gathered.counter(
            "a_total",
            "Back\\slash.",
            vec![("x", "q\"\n\\".to_owned())],
            1.5,
        );
        gathered.counter("b", "Old.", vec![], 1e21);
        gathered.gauge("c", "", vec![], f64::NAN);
        gathered.untyped("d", "", vec![], -0.000_000_1);
        let buckets = Buckets {
            cumulative: vec![(0.1, 1), (1.0, 2)],
            sum: 3.5,
            count: 3,
            native: None,
        };
        gathered.histogram("e_seconds", "", vec![("l", "v".to_owned())], buckets);
        gathered
    }

    const SAMPLES: [&str; 3] = [
        "a_total{x=\"q\\\"\\n\\\\\"} 1.5\n",
        "e_seconds_bucket{l=\"v\",le=\"0.1\"} 1\n",
        "e_seconds_bucket{l=\"v\",le=\"+Inf\"} 3\ne_seconds_sum{l=\"v\"} 3.5\ne_seconds_count{l=\"v\"} 3\n",
    ];

    #[test]
    fn text_is_what_every_prometheus_reads() {
        let text = Format::Text.whole(&all());
        for part in SAMPLES {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains("# TYPE a_total counter\n"), "{text}");
        assert!(
            text.contains("# HELP b Old.\n# TYPE b counter\nb 1e21\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE c gauge\nc NaN\n"), "{text}");
        assert!(text.contains("# TYPE d untyped\nd -1e-7\n"), "{text}");
    }

    #[test]
    fn open_metrics_keeps_the_names_of_all_series() {
        let text = Format::OpenMetrics.whole(&all());
        for part in SAMPLES {
            assert!(text.contains(part), "{text}");
        }
        assert!(text.contains("# TYPE a counter\na_total"), "{text}");
        assert!(text.contains("# TYPE b unknown\nb 1e21\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(Format::accepted(Some(prometheus)), Format::OpenMetrics);
        let native = format!(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.6,{prometheus}"
        );
        assert_eq!(Format::accepted(Some(&native)), Format::Protobuf);
        assert_eq!(Format::accepted(Some("text/plain")), Format::Text);
        assert_eq!(Format::accepted(Some("*/*")), Format::Text);
        assert_eq!(Format::accepted(None), Format::Text);
    }
}
