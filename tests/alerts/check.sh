#!/bin/sh
# Tries the alerts of manifests/alerts and manifests/exporter-alerts in promtool's clock: each fires when it should, stays
# quiet when it should not, and ends. Panels of manifests/exporter-dashboards ask for what there is. Needs promtool (Debian
# and Ubuntu: apt-get install prometheus), kubectl and python3.
#
#   tests/alerts/check.sh
set -eu
cd "$(dirname "$0")/../.."
for command in promtool kubectl python3; do
    command -v "$command" >/dev/null || {
        echo "tests/alerts: $command is missing" >&2
        exit 1
    }
done
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
trap 'exit 130' INT TERM

# As README.md of examples/dump-reload/prometheus makes it.
mkdir "$folder/alerts"
sed -n '/^spec:/,$ s/^  //p' manifests/alerts/rules.yaml >"$folder/alerts/rules.yaml"
promtool check rules "$folder/alerts/rules.yaml"
sed -n '/^spec:/,$ s/^  //p' manifests/exporter-alerts/rules.yaml >"$folder/alerts/exporter.yaml"
promtool check rules "$folder/alerts/exporter.yaml"

# The operator gets the same rules: its object is JSON with the same text.
for component in alerts exporter-alerts exporter-dashboards pod-monitor network-policy; do
    kubectl kustomize "manifests/$component" >"$folder/$component.yaml"
done

# A rule over a metric that no tool has never fires, and nobody notices.
missing=
metrics=$(grep -o 'pilotfish_[a-z]*_[a-z_]*' manifests/alerts/rules.yaml | sort -u)
for metric in $metrics; do
    tool=${metric#pilotfish_}
    tool=${tool%%_*}
    noun=${metric#"pilotfish_${tool}_"}
    grep -q "[\"_]$noun\"" "crates/bin/$tool/src/metrics.rs" crates/lib/runtime/src/admin.rs ||
        missing="$missing $metric"
done
[ -z "$missing" ] || {
    echo "tests/alerts: no tool has:$missing" >&2
    exit 1
}

# What panels ask, as rules: promtool reads them as Prometheus would. A query of the dashboards has a line of its own.
for board in manifests/exporter-dashboards/*.json; do
    name=$(basename "$board" .json)
    python3 -m json.tool "$board" >/dev/null || {
        echo "tests/alerts: $board is no JSON" >&2
        exit 1
    }
    {
        printf 'groups:\n  - name: %s\n    rules:\n' "$name"
        sed -n 's/^ *"expr": "\(.*\)",\{0,1\}$/\1/p' "$board" |
            sed "s/\\\\\(.\)/\\1/g; s/\\\$__rate_interval/5m/g; s/\\\$[a-z_]*/.*/g; s/'/''/g" |
            awk -v quote="'" '{ printf "      - {record: panel_%d, expr: %s%s%s}\n", NR, quote, $0, quote }'
    } >"$folder/$name-panels.yaml"
    [ "$(grep -c record: "$folder/$name-panels.yaml")" -gt 50 ] || {
        echo "tests/alerts: no queries found in $board" >&2
        exit 1
    }
    promtool check rules "$folder/$name-panels.yaml"
done

# shown METRIC: whether the exporter has it.
# The live test takes this function's place: EXPORTER_METRICS is a file with what it gave for real servers of every engine,
# one name a line. Until then its sources are asked. Those do not know how a server calls its own statuses, settings and
# counters: of these the beginning of the name is all that is held.
shown() {
    if [ -n "${EXPORTER_METRICS:-}" ]; then
        grep -qxF "$1" "$EXPORTER_METRICS"
        return
    fi
    family=${1%_bucket}
    grep -rqF "\"$family\"" crates/bin/exporter/src && return
    for prefix in mysql_global_status mysql_global_variables mysql_info_schema_innodb_metrics pg_settings; do
        [ "${family#"${prefix}_"}" = "$family" ] || return 0
    done
    for prefix in exporter replication release volume container; do
        rest=${family#"pilotfish_${prefix}_"}
        if [ "$rest" != "$family" ]; then
            grep -rqF "\"$rest\"" crates/bin/exporter/src && return
        fi
    done
    # Of the process itself, by the library that knows them.
    case $family in process_cpu_seconds_total | process_resident_memory_bytes) ;; *) return 1 ;; esac
}

# What rules ask, without their texts, and what panels and variables ask.
missing=
metrics=$({
    sed '/annotations:/,/- alert:/d; /^ *#/d' manifests/exporter-alerts/rules.yaml
    grep -hE '"(expr|definition)": ' manifests/exporter-dashboards/*.json
} | grep -oE '\b(mysql|pg|pilotfish|process)_[a-z0-9_]+' | sort -u)
for metric in $metrics; do
    shown "$metric" || missing="$missing $metric"
done
[ -z "$missing" ] || {
    echo "tests/alerts: the exporter does not show:$missing" >&2
    exit 1
}

# Each test says all that fires at a minute, so quiet is tested everywhere; firing wants to be named.
alerts=$(sed -n 's/.*- alert: //p' "$folder"/alerts/*.yaml)
for alert in $alerts; do
    grep -q "alertname=\"$alert\"" tests/alerts/*-test.yaml || {
        echo "tests/alerts: no test fires $alert" >&2
        exit 1
    }
done

cp tests/alerts/*-test.yaml "$folder"
(cd "$folder" && promtool test rules ./*-test.yaml)

# The configuration of the plain Prometheus, with the rules where they are now.
sed "s#/etc/prometheus/alerts#$folder/alerts#" examples/dump-reload/prometheus/prometheus.yaml >"$folder/prometheus.yaml"
promtool check config "$folder/prometheus.yaml"
