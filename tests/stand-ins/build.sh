#!/bin/sh
# build.sh CACHE KUBECTL [NAME...]: stand-ins for official images, under the official names, where no registry can be
# reached. The servers are Debian's, from the trees that `./x setup` made; prometheus is Debian's; weed, Azurite,
# Prefect and kubectl are the ones on this machine. Each is made once per content.
set -eu
cd "$(dirname "$0")"
cache=$1
kubectl=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# image NAME CHANGE...: from $work/tree.
image() {
    name=$1
    shift
    tar -C "$work/tree" --sort=name --numeric-owner -cf "$work/image.tar" .
    rm -rf "$work/tree"
    podman import -q "$@" "$work/image.tar" "$name" >/dev/null
    rm "$work/image.tar"
    echo "$name"
}

# known NAME FILE...: whether the image is there, made from just these files.
known() {
    name=$1
    shift
    label=$(cat build.sh "$@" | sha256sum | cut -c1-16)
    [ "$(podman image inspect --format '{{index .Config.Labels "pilotfish.stand-in"}}' "$name" 2>/dev/null)" = "$label" ]
}

user() {
    echo 'mysql:x:999:999::/var/lib/mysql:/bin/bash' >>"$work/tree/etc/passwd"
    echo 'mysql:x:999:' >>"$work/tree/etc/group"
}

# system ROOTFS: a tree without what no server reads.
system() {
    mkdir -p "$work/tree"
    tar -C "$1" --exclude=./usr/share/doc --exclude=./usr/share/man --exclude=./usr/share/locale --exclude=./template \
        --exclude=./var/cache --exclude=./var/lib/apt --exclude=./dev --exclude=./proc --exclude=./sys -cf - . |
        tar -C "$work/tree" -xf -
    mkdir -p "$work/tree/docker-entrypoint-initdb.d" "$work/tree/dev" "$work/tree/proc" "$work/tree/sys"
}

# entrypoint FILE
entrypoint() {
    cp "$1" "$work/tree/usr/local/bin/docker-entrypoint.sh"
    chmod 0755 "$work/tree/usr/local/bin/docker-entrypoint.sh"
}

server() { # server NAME ROOTFS COMMAND
    if known "$1" entrypoint.sh docker.cnf "$2/var/lib/dpkg/status"; then echo "$1" && return; fi
    system "$2"
    mkdir -p "$work/tree/var/lib/mysql" "$work/tree/run/mysqld" "$work/tree/var/lib/mysql-files"
    user
    entrypoint entrypoint.sh
    cp docker.cnf "$work/tree/etc/docker.cnf"
    chown -R 999:999 "$work/tree/var/lib/mysql" "$work/tree/run/mysqld" "$work/tree/var/lib/mysql-files"
    image "$1" --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change "CMD $3" \
        --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change "LABEL pilotfish.stand-in=$label"
}

postgres() { # postgres NAME ROOTFS VERSION
    bin=/usr/lib/postgresql/$3/bin
    # The packages of this tree are unpacked and not set up: dpkg knows nothing of them.
    if known "$1" postgres.sh "$2$bin/postgres"; then echo "$1" && return; fi
    system "$2"
    echo 'root:x:0:0::/root:/bin/bash' >"$work/tree/etc/passwd"
    echo 'postgres:x:999:999::/var/lib/postgresql:/bin/bash' >>"$work/tree/etc/passwd"
    echo 'postgres:x:999:' >"$work/tree/etc/group"
    rm -rf "$work/tree/var/run" "$work/tree/var/lib/postgresql"
    ln -s /run "$work/tree/var/run"
    mkdir -p "$work/tree/run/postgresql" "$work/tree/var/lib/postgresql" "$work/tree/usr/local/bin"
    entrypoint postgres.sh
    chown 999:999 "$work/tree/var/lib/postgresql" "$work/tree/run/postgresql"
    # Fast at SIGINT; at SIGTERM it would wait for its clients.
    image "$1" --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["postgres"]' --change 'STOPSIGNAL SIGINT' \
        --change "ENV PATH=/usr/local/sbin:/usr/local/bin:$bin:/usr/sbin:/usr/bin:/sbin:/bin" \
        --change 'ENV LANG=C.UTF-8' --change "ENV PGDATA=/var/lib/postgresql/$3/docker" \
        --change "LABEL pilotfish.stand-in=$label"
}

# program NAME FILE ENTRYPOINT: one program with the libraries it wants, from this machine.
program() {
    path=$(readlink -f "$2")
    if known "$1" "$path"; then echo "$1" && return; fi
    copy_program "$path" "$3"
    image "$1" --change "ENTRYPOINT [\"/usr/bin/$3\"]" --change 'ENV PATH=/usr/bin' --change "LABEL pilotfish.stand-in=$label"
}

copy_program() { # copy_program FILE NAME
    mkdir -p "$work/tree/usr/bin" "$work/tree/tmp" "$work/tree/etc"
    chmod 1777 "$work/tree/tmp"
    cp "$1" "$work/tree/usr/bin/$2"
    for library in $(ldd "$1" 2>/dev/null | grep -o '/[^ ]*'); do
        mkdir -p "$work/tree$(dirname "$library")"
        cp -L "$library" "$work/tree$library"
    done
}

azurite() { # azurite NAME FOLDER
    node=$(readlink -f "$(command -v node)")
    if known "$1" "$node" "$2/node_modules/azurite/package.json"; then echo "$1" && return; fi
    copy_program "$node" node
    mkdir -p "$work/tree/opt/azurite" "$work/tree/usr/local/bin"
    cp -R "$2/node_modules" "$work/tree/opt/azurite/"
    printf '#!/usr/bin/node\nrequire("/opt/azurite/node_modules/azurite/dist/src/blob/main.js")\n' \
        >"$work/tree/usr/local/bin/azurite-blob"
    chmod 0755 "$work/tree/usr/local/bin/azurite-blob"
    image "$1" --change 'CMD ["azurite-blob"]' --change 'ENV PATH=/usr/local/bin:/usr/bin' --change "LABEL pilotfish.stand-in=$label"
}

# prefect NAME VENV: Prefect and the Python that it was installed by, each where it is on this machine; a shell.
prefect() {
    if known "$1" "$2/requirements.txt" "$(readlink -f "$2/bin/python")"; then echo "$1" && return; fi
    python=$(readlink -f "$2/bin/python")
    stdlib=$("$python" -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    copy_program "$(readlink -f /bin/sh)" sh
    copy_program "$python" "$(basename "$python")"
    ln -s usr/bin "$work/tree/bin"
    # The home of its library is found from where it is itself.
    mkdir -p "$work/tree$(dirname "$python")" "$work/tree$stdlib" "$work/tree/prefect"
    [ -e "$work/tree$python" ] || mv "$work/tree/usr/bin/$(basename "$python")" "$work/tree$python"
    for name in python python3; do
        [ -e "$work/tree/usr/bin/$name" ] || ln -s "$python" "$work/tree/usr/bin/$name"
    done
    tar -C "$stdlib" --exclude=./test --exclude=./site-packages --exclude=./dist-packages --exclude='./config-*' \
        --exclude=./idlelib --exclude=./tkinter --exclude=./lib2to3 -cf - . | tar -C "$work/tree$stdlib" -xf -
    [ ! -d /usr/share/python-wheels ] || {
        mkdir -p "$work/tree/usr/share"
        cp -R /usr/share/python-wheels "$work/tree/usr/share/"
    }
    cp -R "$2"/lib/python*/site-packages/. "$work/tree/prefect/"
    find "$work/tree$stdlib" "$work/tree/prefect" -name '*.so' -exec ldd {} + 2>/dev/null | grep -o '=> /[^ ]*' |
        cut -c4- | sort -u | while read -r shared; do
        [ -e "$work/tree$shared" ] || { mkdir -p "$work/tree$(dirname "$shared")" && cp -L "$shared" "$work/tree$shared"; }
    done
    image "$1" --change 'CMD ["python"]' --change 'ENV PATH=/usr/bin' --change 'ENV PYTHONPATH=/prefect' \
        --change "LABEL pilotfish.stand-in=$label"
}

[ $# -gt 0 ] || set -- mariadb mysql postgres seaweedfs prometheus azurite prefect kubectl
for name in "$@"; do
    case $name in
    mariadb) server docker.io/library/mariadb:11.8 "$cache/rootfs-mariadb-11.8" '["mariadbd"]' ;;
    mysql) server docker.io/library/mysql:9.7 "$cache/rootfs-mysql-9.7" '["mysqld"]' ;;
    postgres) postgres docker.io/library/postgres:18 "$cache/rootfs-postgres-18" 18 ;;
    seaweedfs) program docker.io/chrislusf/seaweedfs:4.48 "$cache/seaweedfs-4.48/weed" weed ;;
    prometheus) program docker.io/prom/prometheus:v3.13.5 "$(command -v prometheus)" prometheus ;;
    azurite) azurite mcr.microsoft.com/azure-storage/azurite:3.33.0 "$cache/azurite-3.33.0" ;;
    prefect) prefect docker.io/prefecthq/prefect:3.9.1-python3.12 "$cache/prefect-3.9.1" ;;
    kubectl) program registry.k8s.io/kubectl:v1.34.0 "$kubectl" kubectl ;;
    *) echo "no stand-in is called $name" >&2 && exit 2 ;;
    esac
done
