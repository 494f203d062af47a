#!/bin/bash
# Reads two tables in one statement, again and again, over connections that live for a while. Every row carries
# the version of its dump: more than one version in an answer is a mix of two releases. A version that goes
# backwards within a connection is right after a rollback only. Prints the counts once a second, and how long the
# slowest answer took.
set -u

reads=0 errors=0 mixes=0 backwards=0 version=0 slowest=0 last=
question='SELECT min(v), max(v), count(*) FROM (
    SELECT version AS v FROM public.drugs UNION ALL SELECT version FROM public.makers) AS both_tables;'

report() {
    now=$(date +%s)
    [ "$now" = "$last" ] && return
    last=$now
    echo "reads=$reads errors=$errors mixes=$mixes backwards=$backwards version=$version slowest=${slowest}ms"
}

while :; do
    coproc client { PGCONNECT_TIMEOUT=5 exec psql --no-psqlrc --quiet --tuples-only --no-align --field-separator=' ' \
        --host="$HOST" --username=reader --dbname=app 2>&1; }
    # shellcheck disable=SC2154 # coproc sets it
    in=${client[1]} out=${client[0]} process=$client_PID
    version=0
    for ((i = 0; i < 2000; i++)); do
        asked=${EPOCHREALTIME/[.,]/}
        { printf "%s\n" "$question" >&"$in" && read -r -t 30 low high rows <&"$out"; } || { low=silence high="" rows=""; }
        took=$(((${EPOCHREALTIME/[.,]/} - asked) / 1000))
        [ "$took" -le "$slowest" ] || slowest=$took
        if [[ ! $low =~ ^[0-9]+$ ]]; then
            errors=$((errors + 1))
            echo "error: $low $high $rows"
            break
        fi
        reads=$((reads + 1))
        if [ "$low" != "$high" ]; then
            mixes=$((mixes + 1))
            echo "mix: $low and $high in $rows rows"
        elif [ "$low" -lt "$version" ]; then
            backwards=$((backwards + 1))
            echo "backwards: $low after $version"
        fi
        version=$high
        report
    done
    exec {in}>&-
    wait "$process" 2>/dev/null
    report
done
