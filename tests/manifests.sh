#!/bin/sh
# manifests.sh VENV: what the real kubectl makes of every example fits the Kubernetes schemas, what must be
# refused is refused, and the alert rules do what their tests say. `./x check` calls it.
set -eu
cd "$(dirname "$0")/.."
validate=$1/bin/kubernetes-validate
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'manifests: %s\n' "$*" >&2
    exit 1
}

# fits FILE WHAT: the schemas of the oldest and the newest Kubernetes take it. A kind they do not know is a mere warning.
fits() {
    for kubernetes in 1.29 1.34; do
        if ! "$validate" --strict -k "$kubernetes" "$1" >"$work/said" 2>&1 || grep -q '^WARN' "$work/said"; then
            cat "$work/said" >&2
            fail "$2 does not fit the schemas of Kubernetes $kubernetes"
        fi
    done
}

# The judge itself: a misspelt field is seen.
cat >"$work/misspelt.yaml" <<YAML
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: db}
spec: {minAvailable: 1, selektor: {}}
YAML
! (fits "$work/misspelt.yaml" "a misspelt field") 2>/dev/null || fail "a misspelt field passes the schemas"

# Every folder of the examples that is a kustomization by itself.
rendered=0
for file in examples/*/*/kustomization.yaml tests/story/overlays/*/kustomization.yaml; do
    folder=$(dirname "$file")
    kubectl kustomize "$folder" >"$work/rendered.yaml" || fail "kubectl kustomize $folder"
    # The Prometheus Operator's kinds have their schemas in its CRDs, not in Kubernetes.
    awk -v RS='---\n' -v ORS='---\n' '!/apiVersion: monitoring.coreos.com/' "$work/rendered.yaml" >"$work/plain.yaml"
    fits "$work/plain.yaml" "$folder"
    rendered=$((rendered + 1))
done
[ "$rendered" -gt 5 ] || fail "only $rendered examples found"

# A database container of another name, and none with it: the build fails, nothing is added without an image.
for component in manifests/*/; do
    component=$(basename "$component")
    grep -q 'containers/0/name' "manifests/$component/kustomization.yaml" || continue
    mkdir -p "$work/wrong"
    cat >"$work/wrong/kustomization.yaml" <<YAML
resources: [workload.yaml]
components: [$(realpath --relative-to "$work/wrong" "manifests/$component")]
YAML
    for kind in StatefulSet Deployment; do
        cat >"$work/wrong/workload.yaml" <<YAML
apiVersion: apps/v1
kind: $kind
metadata: {name: db}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: mysql, image: mariadb}]}}}
YAML
        ! kubectl kustomize "$work/wrong" >/dev/null 2>"$work/said" || fail "$component patches a container that is not called db"
        grep -q 'containers/0/name' "$work/said" || fail "$component fails for another reason: $(cat "$work/said")"
        sed -i 's/name: mysql/name: db/' "$work/wrong/workload.yaml"
        kubectl kustomize "$work/wrong" >"$work/right.yaml" || fail "$component and a $kind with a container db"
    done
done

# An app beside the database, labelled as a client: the database's components leave it alone, and `wait` leaves the database alone.
cat >"$work/wrong/workload.yaml" <<YAML
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: database}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: db, image: mariadb}]}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, labels: {pilotfish: client}}
spec: {selector: {matchLabels: {c: d}}, template: {metadata: {labels: {c: d}}, spec: {containers: [{name: app, image: app}]}}}
YAML
for component in dump-reload wait; do
    cat >"$work/wrong/kustomization.yaml" <<YAML
resources: [workload.yaml]
components: [$(realpath --relative-to "$work/wrong" "manifests/$component")]
YAML
    kubectl kustomize "$work/wrong" >"$work/right.yaml" || fail "$component with an app beside the database"
    patched=$(awk '/^kind:/ { kind = $2 } /^      initContainers:/ { printf "%s ", kind }' "$work/right.yaml")
    wanted='StatefulSet '
    [ "$component" != wait ] || wanted='Deployment '
    [ "$patched" = "$wanted" ] || fail "$component patches: $patched"
done

# What the components bring is valid too where no example has them.
kubectl kustomize manifests/network-policy >"$work/plain.yaml"
fits "$work/plain.yaml" network-policy

# One version everywhere: an image that nobody built is found by the kubelet only.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
stale=$(grep -rnE 'pilotfish-(fetch|load|watch|wait|exporter):[0-9]' manifests examples/*/*/*.yaml tests/story tests/bench |
    awk -v wanted=":$version" '!index($0, wanted)')
[ -z "$stale" ] || fail "images of another version than $version: $stale"

# The order of init containers is what strategic merge makes of the patches: it must be this one.
order() { # order FOLDER
    kubectl kustomize "$1" | awk '/^      initContainers:/ { on = 1 } /^      [a-z]/ && !/initContainers/ { on = 0 } on && /^        name:/ { printf "%s ", $2 }'
}
order=$(order examples/dump-reload/base)
[ "$order" = "install-load fetch-first fetch watch " ] || fail "init containers come as: $order"

# The exporter starts before the others and ends after them, and has nothing but its own password and, read-only, the data.
for pair in exporter:9104 exporter-postgres:9187; do
    story=${pair%:*}
    order=$(order "examples/dump-reload/$story")
    [ "$order" = "exporter install-load fetch-first fetch watch " ] || fail "init containers of $story come as: $order"
    kubectl kustomize "examples/dump-reload/$story" >"$work/plain.yaml"
    sidecar=$(awk '/^      initContainers:/ { on = 1 } on && /^      - / && seen++ { exit } on' "$work/plain.yaml")
    ports=$(echo "$sidecar" | awk '/containerPort:/ { printf "%s ", $NF }')
    [ "$ports" = "${pair#*:} " ] || fail "the exporter of $story listens on: $ports"
    mounts=$(echo "$sidecar" | awk '/mountPath:/ { printf "%s ", $NF }')
    [ "$mounts" = "/data /run/secrets/pilotfish-exporter " ] || fail "the exporter of $story has: $mounts"
done

# Alone it brings all it needs: no other tool, and of the Secret one key.
sed -i 's/^spec: {selector: {matchLabels: {a: b}}/spec: {serviceName: db, selector: {matchLabels: {a: b}}/' "$work/wrong/workload.yaml"
cat >"$work/wrong/kustomization.yaml" <<YAML
resources: [workload.yaml]
components: [$(realpath --relative-to "$work/wrong" manifests/exporter)]
YAML
order=$(order "$work/wrong")
[ "$order" = "exporter " ] || fail "init containers of the exporter alone come as: $order"
kubectl kustomize "$work/wrong" >"$work/plain.yaml"
fits "$work/plain.yaml" "the exporter alone"
volumes=$(awk '/^      volumes:/ { on = 1 } on && /^      (-| ) name:/ { printf "%s ", $NF }' "$work/plain.yaml")
[ "$volumes" = "pilotfish-exporter pilotfish-exporter-secret " ] || fail "volumes of the exporter alone: $volumes"

# Behind the network policy it is let through, whatever it is called.
cat >"$work/wrong/kustomization.yaml" <<YAML
resources: [workload.yaml]
components: [$(realpath --relative-to "$work/wrong" manifests/network-policy), $(realpath --relative-to "$work/wrong" manifests/exporter)]
YAML
kubectl kustomize "$work/wrong" >"$work/plain.yaml"
fits "$work/plain.yaml" "the exporter behind the network policy"
ports=$(awk '/^kind: NetworkPolicy/ { on = 1 } on && /- port:/ { printf "%s ", $NF }' "$work/plain.yaml")
[ "$ports" = "3306 5432 9803 9808 9104 9187 " ] || fail "the network policy lets in: $ports"

tests/alerts/check.sh
echo "manifests.rendered $rendered count"
