#!/bin/sh
# build.sh CACHE: one image per tool and one with all, from static programs; prints their compressed sizes.
# `./x images` calls it. PILOTFISH_IMAGE_ARCH=aarch64 wants a musl cross compiler (aarch64-linux-musl-gcc).
set -eu
cd "$(dirname "$0")/.."
cache=$1
arch=${PILOTFISH_IMAGE_ARCH:-$(uname -m)}
triple=$arch-unknown-linux-musl
target=${CARGO_TARGET_DIR:-target}
tools="fetch load watch wait exporter"
cyclonedx=0.5.9

say() {
    printf '\033[1m== %s\033[0m\n' "$*" >&2
}

# The same bytes for the same commit, toolchain and CA roots: no path of this machine, no time but the commit's.
reproducible() {
    SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
    cargo_home=${CARGO_HOME:-$HOME/.cargo}
    RUSTFLAGS="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$(pwd -P)=/pilotfish"
    CFLAGS="-ffile-prefix-map=$cargo_home=/cargo -ffile-prefix-map=$(cd "$target" && pwd -P)=/target"
    # The triple has its own flags, so that nothing else is built anew.
    export SOURCE_DATE_EPOCH
    export "CARGO_TARGET_$(echo "$triple" | tr a-z- A-Z_)_RUSTFLAGS=$RUSTFLAGS" "CFLAGS_$(echo "$triple" | tr - _)=$CFLAGS"
    unset RUSTFLAGS CFLAGS
}

programs() {
    say "static programs for $triple"
    rustup target add "$triple" >&2
    # shellcheck disable=SC2046,SC2086 # lists of words
    cargo build --locked --release --target "$triple" -p pilotfish $(printf -- '-p pilotfish-%s ' $tools)
    cp "$target/$triple/release/pilotfish" "$context/all/"
    for tool in $tools; do
        cp "$target/$triple/release/pilotfish-$tool" "$context/bin/"
        ln -s pilotfish "$context/all/pilotfish-$tool"
    done
}

# What each program is made of, as scanners read it.
bills_of_materials() {
    [ -x "$cache/cargo-cyclonedx-$cyclonedx/bin/cargo-cyclonedx" ] ||
        cargo install --locked --version "$cyclonedx" --root "$cache/cargo-cyclonedx-$cyclonedx" cargo-cyclonedx
    # It leaves one beside each crate of the workspace.
    "$cache/cargo-cyclonedx-$cyclonedx/bin/cargo-cyclonedx" cyclonedx -q --format json --target "$triple" \
        --override-filename bill.cdx
    mv images/all/bill.cdx.json "$context/sbom/pilotfish.cdx.json"
    for tool in $tools; do
        mv "crates/bin/$tool/bill.cdx.json" "$context/sbom/pilotfish-$tool.cdx.json"
    done
    # A crate of the workspace is named by its folder: by the one that `reproducible` calls it.
    sed -i "s#file://$(pwd -P)#file:///pilotfish#g" "$context"/sbom/*.json
}

# Mozilla's roots as the distribution packages them, without what an administrator added to this machine.
etc() {
    cat /usr/share/ca-certificates/mozilla/*.crt >"$context/etc/ssl/certs/ca-certificates.crt"
    echo 'pilotfish:x:65532:65532::/:/sbin/nologin' >"$context/etc/passwd"
}

images() {
    version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
    for tool in $tools pilotfish; do
        name=$tool
        [ "$tool" = pilotfish ] || name=pilotfish-$tool
        build --target "$tool" -t "$name:$version" --build-arg "VERSION=$version" \
            --build-arg "REVISION=$(git rev-parse HEAD)" -f images/Containerfile "$context"
        size "$name"
    done
}

if command -v podman >/dev/null; then
    build() {
        podman build -q --platform "linux/$platform" --timestamp "$SOURCE_DATE_EPOCH" "$@" >/dev/null
        # The name that a cluster makes of one without a registry.
        podman tag "localhost/$name:$version" "docker.io/library/$name:$version"
    }
    size() {
        podman save -q --format docker-archive -o "$context/saved.tar" "$1:$version"
        compressed "$1"
        echo "image.$1.digest $(podman image inspect --format '{{.Digest}}' "$1:$version")"
    }
else
    build() {
        docker build -q --platform "linux/$platform" "$@" >/dev/null
    }
    size() {
        docker save -o "$context/saved.tar" "$1:$version"
        compressed "$1"
    }
fi

# compressed NAME: the size of the saved image, as a registry would keep it.
compressed() {
    gzip -6 <"$context/saved.tar" | wc -c |
        awk -v name="$1" '{ printf "image.%s.compressed_mib %.1f MiB\n", name, $1 / 1048576 }'
    rm "$context/saved.tar"
}

case $arch in
x86_64) platform=amd64 ;;
aarch64) platform=arm64 ;;
*) platform=$arch ;;
esac
context=$target/images
rm -rf "$context"
mkdir -p "$context/bin" "$context/all" "$context/etc/ssl/certs" "$context/sbom"
# A build that is ended leaves no bill of materials among the sources.
trap 'find crates tests images -name bill.cdx.json -delete' EXIT
trap 'exit 130' INT TERM
reproducible
programs
bills_of_materials
etc
images
