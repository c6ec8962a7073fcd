#!/bin/sh
# usage: kafka-server-stop.sh [--node-id=N | --process-role=ROLES]
#
# Sends TERM (or $SIGNAL) to the brokers that were started with a settings file
# as their first argument, which is how kafka-server-start.sh starts them.
set -eu
signal=${SIGNAL:-TERM}
node='' roles=''
for argument in "$@"; do
    case $argument in
        --node-id=*) node=${argument#*=} ;;
        --process-role=*) roles=${argument#*=} ;;
        *) echo "USAGE: $0 [--node-id=N | --process-role=ROLES]" >&2; exit 1 ;;
    esac
done

# has FILE KEY VALUE: whether the settings file sets the key to the value.
has() {
    [ "$(sed -n "s/^[[:space:]]*$2[[:space:]]*=[[:space:]]*//p" "$1" 2>/dev/null | tail -n 1)" = "$3" ]
}

found=no
for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [ "$(cat "$process/comm" 2>/dev/null)" = ottla ] || continue
    file=$(tr '\0' '\n' <"$process/cmdline" 2>/dev/null | sed -n 2p)
    case $file in
        -* | '') continue ;;
        *.* | */*) ;;
        *) continue ;;
    esac
    case $file in
        /*) ;;
        *) file=$(readlink "$process/cwd")/$file ;;
    esac
    # A node id is the narrower of the two, and wins when both are given.
    if [ -n "$node" ]; then
        has "$file" 'node\.id' "$node" || continue
    elif [ -n "$roles" ]; then
        has "$file" 'process\.roles' "$roles" || continue
    fi
    found=yes
    kill -s "$signal" "$pid"
done
if [ "$found" = no ]; then
    echo "No kafka server to stop" >&2
    exit 1
fi
