//! Prometheus' own binary format, the only one with native histograms: messages of `io.prometheus.client`, each behind its
//! length. Fields and their numbers are those of client_model's `metrics.proto`.

use prost::Message;

use crate::metric::{Buckets, Family, Kind, Sample, Value};

/// One message, behind its length.
pub(super) fn encoded(name: &str, family: &Family) -> Vec<u8> {
    MetricFamily::new(name, family).encode_length_delimited_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    help: Option<String>,
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "5")]
    untyped: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, optional, tag = "1")]
    name: Option<String>,
    #[prost(string, optional, tag = "2")]
    value: Option<String>,
}

/// `Gauge`, `Counter` and `Untyped` look alike.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

impl MetricFamily {
    fn new(name: &str, family: &Family) -> Self {
        let kind = match family.kind {
            Kind::Counter => 0,
            Kind::Gauge => 1,
            Kind::Untyped => 3,
            Kind::Histogram => 4,
        };
        let metrics = family.samples.iter();
        Self {
            name: Some(name.to_owned()),
            help: Some(family.help.to_string()),
            kind: Some(kind),
            metric: metrics
                .map(|sample| Metric::new(family.kind, sample))
                .collect(),
        }
    }
}

impl Metric {
    fn new(kind: Kind, sample: &Sample) -> Self {
        let labels = sample.labels.pairs().iter().map(|(name, value)| LabelPair {
            name: Some((*name).to_owned()),
            value: Some(value.clone()),
        });
        let mut metric = Self {
            label: labels.collect(),
            ..Self::default()
        };
        match &sample.value {
            Value::Buckets(buckets) => metric.histogram = Some(Histogram::new(buckets)),
            Value::Number(value) => {
                let number = Some(Number {
                    value: Some(*value),
                });
                match kind {
                    Kind::Counter => metric.counter = number,
                    Kind::Gauge => metric.gauge = number,
                    Kind::Untyped | Kind::Histogram => metric.untyped = number,
                }
            }
        }
        metric
    }
}

impl Histogram {
    fn new(buckets: &Buckets) -> Self {
        let classic = buckets.cumulative.iter().map(|(bound, count)| Bucket {
            cumulative_count: Some(*count),
            upper_bound: Some(*bound),
        });
        let mut histogram = Self {
            sample_count: Some(buckets.count),
            sample_sum: Some(buckets.sum),
            bucket: classic.collect(),
            ..Self::default()
        };
        if let Some(native) = &buckets.native {
            histogram.schema = Some(native.schema);
            histogram.zero_threshold = Some(native.zero_threshold);
            histogram.zero_count = Some(native.zero_count);
            let mut end = 0;
            let mut before = 0;
            for (index, count) in &native.positive {
                // Of the first from zero, of the others from the end of the one before.
                match histogram.positive_span.last_mut() {
                    Some(span) if *index == end => span.length = span.length.map(|n| n + 1),
                    _ => histogram.positive_span.push(BucketSpan {
                        offset: Some(index - end),
                        length: Some(1),
                    }),
                }
                end = index + 1;
                let count = i64::try_from(*count).unwrap_or(i64::MAX);
                histogram.positive_delta.push(count - before);
                before = count;
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::metric::{Gathered, Native};

    #[test]
    fn what_is_written_reads_back() {
        let mut gathered = Gathered::default();
        gathered.counter("a_total", "A.", vec![("x", "1".to_owned())], 2.0);
        let (name, family) = gathered.families().next().unwrap();
        let bytes = encoded(name, family);
        let family = MetricFamily::decode_length_delimited(bytes.as_slice()).unwrap();
        assert_eq!(family.name.as_deref(), Some("a_total"));
        assert_eq!(family.kind, Some(0));
        let metric = &family.metric[0];
        assert_eq!(metric.counter.as_ref().unwrap().value, Some(2.0));
        assert_eq!(metric.label[0].value.as_deref(), Some("1"));
    }

    #[test]
    fn native_buckets_are_spans_and_differences() {
        let native = Native {
            schema: 3,
            zero_threshold: 1e-9,
            zero_count: 1,
            positive: BTreeMap::from([(-2, 5), (-1, 7), (4, 6)]),
        };
        let histogram = Histogram::new(&Buckets {
            native: Some(native),
            ..Buckets::default()
        });
        let spans: Vec<_> = histogram
            .positive_span
            .iter()
            .map(|span| (span.offset.unwrap(), span.length.unwrap()))
            .collect();
        assert_eq!(spans, [(-2, 2), (4, 1)]);
        assert_eq!(histogram.positive_delta, [5, 2, -1]);
    }
}
