#!/bin/sh
# Tries the alerts of manifests/alerts in promtool's clock: each fires when it should, stays quiet when it
# should not, and ends. Needs promtool (Debian and Ubuntu: apt-get install prometheus) and kubectl.
#
#   tests/alerts/check.sh
set -eu
cd "$(dirname "$0")/../.."
for command in promtool kubectl; do
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

# The operator gets the same rules: its object is JSON with the same text.
for component in alerts pod-monitor network-policy; do
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

# Each test says all that fires at a minute, so quiet is tested everywhere; firing wants to be named.
alerts=$(sed -n 's/.*- alert: //p' "$folder/alerts/rules.yaml")
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
