#!/bin/sh
# usage: kafka-run-class.sh [-daemon] [-name NAME] [-loggc] CLASS [ARGUMENT]...
#
# Stands where Apache Kafka's script of this name is expected, so that suites
# and scripts that drive "a Kafka folder" drive Ottla: KAFKA_ROOT=.../dist.
set -eu
here=$(dirname "$(readlink -f "$0")")

find_ottla() {
    cache=${XDG_CACHE_HOME:-$HOME/.cache}/ottla
    for candidate in \
        "${OTTLA_BIN:-}" \
        "$here/ottla" \
        "$(command -v ottla || true)" \
        "${CARGO_TARGET_DIR:+$CARGO_TARGET_DIR/release/ottla}" \
        "$cache/target/release/ottla" \
        "$here/../../target/release/ottla"
    do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            echo "$candidate"
            return
        fi
    done
    echo "There is no ottla binary: build one with 'make build', or name yours with OTTLA_BIN." >&2
    exit 1
}

# The broker and nothing else takes its settings from KAFKA_* variables, as the
# apache/kafka image does; Kafka's own scripts do not, and what suites keep in
# such variables is not meant for a broker.
forget_kafka_variables() {
    for name in $(env | sed -n 's/^\(KAFKA_[A-Za-z0-9_]*\)=.*/\1/p'); do
        case $name in
            KAFKA_OPTS) ;;
            *) unset "$name" ;;
        esac
    done
}

daemon=no
while [ $# -gt 0 ]; do
    case $1 in
        -daemon) daemon=yes; shift ;;
        -name) shift 2 ;;
        -loggc) shift ;;
        *) break ;;
    esac
done
if [ $# -eq 0 ]; then
    echo "USAGE: $0 [-daemon] kafka.Kafka|kafka.tools.StorageTool [ARGUMENT]..." >&2
    exit 1
fi
class=$1
shift
ottla=$(find_ottla)

case $class in
    kafka.Kafka)
        logs=${LOG_DIR:-$here/../logs}
        forget_kafka_variables
        if [ "$daemon" = yes ]; then
            mkdir -p "$logs"
            nohup "$ottla" "$@" >"$logs/kafkaServer.out" 2>&1 </dev/null &
            exit 0
        fi
        exec "$ottla" "$@"
        ;;
    kafka.tools.StorageTool)
        case ${1:-} in
            format | info | random-uuid) exec "$ottla" "$@" ;;
        esac
        echo "kafka-storage.sh here knows format, info and random-uuid, not '${1:-}'." >&2
        exit 1
        ;;
    *)
        echo "Ottla is no JVM and has no class $class." >&2
        echo "This script runs kafka.Kafka and kafka.tools.StorageTool; for Kafka's other tools take a Kafka" >&2
        echo "distribution and give them Ottla's address as --bootstrap-server." >&2
        exit 1
        ;;
esac
