#!/bin/sh
# usage: kafka-server-start.sh [-daemon] server.properties [--override KEY=VALUE]...
set -eu
if [ $# -lt 1 ]; then
    echo "USAGE: $0 [-daemon] server.properties [--override property=value]*" >&2
    exit 1
fi
here=$(dirname "$(readlink -f "$0")")
if [ "$1" = -daemon ]; then
    shift
    exec "$here/kafka-run-class.sh" -daemon kafka.Kafka "$@"
fi
exec "$here/kafka-run-class.sh" kafka.Kafka "$@"
