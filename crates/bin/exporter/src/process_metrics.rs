//! The process as its registry shows it, in the exporter's own form.

use pilotfish_failure::{Failure, Kind as FailureKind};
use prometheus::Registry;
use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricType;

use crate::metric::{Gathered, Kind, Labels, Value};

/// Processor time, memory and files of this process, under the names that every exporter has.
///
/// # Errors
/// Never, but by a mistake of ours.
pub(crate) fn register(registry: &Registry) -> Result<(), Failure> {
    registry
        .register(Box::new(ProcessCollector::for_self()))
        .map_err(|error| Failure::new(FailureKind::Bug, format!("register metrics: {error}")))
}

/// Counters and gauges of a registry.
pub(crate) fn gather(registry: &Registry, into: &mut Gathered) {
    for family in registry.gather() {
        let kind = match family.get_field_type() {
            MetricType::COUNTER => Kind::Counter,
            MetricType::GAUGE => Kind::Gauge,
            _ => continue,
        };
        for metric in family.get_metric() {
            let value = match kind {
                Kind::Counter => metric.get_counter().get_value(),
                _ => metric.get_gauge().get_value(),
            };
            // All of them are named when this is compiled, and few; a version is the only label.
            let version = metric
                .get_label()
                .iter()
                .find(|label| label.name() == "version");
            let labels = version.map(|label| Labels::of("version", label.value()));
            into.add(
                family.name().to_owned(),
                family.help().to_owned(),
                kind,
                labels.unwrap_or_default(),
                Value::Number(value),
            );
        }
    }
}
