# For the examples beside it (root): real namespaces and a `simvlan live`, gone when the script ends.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
made=()
engine=

real() { # a real namespace
    ip netns add "$1"
    made+=("$1")
    ip -n "$1" link set lo up
    ip netns exec "$1" sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1
}

live() { # SCRIPT --attach ...: runs beside, until the end
    local script=$1
    shift
    simvlan live --sockets "$scratch" "$@" "$here/$script" &
    engine=$!
    until inside ip link > /dev/null 2>&1; do
        kill -0 "$engine"
        sleep 0.1
    done
}

inside() { # a simulated command in the live network
    simvlan exec --sockets "$scratch" live "$@"
}

end() {
    [ -z "$engine" ] || { kill -INT "$engine" && wait "$engine"; } || true
    for each in "${made[@]}"; do
        ip netns pids "$each" | xargs -r kill || true
        ip netns del "$each"
    done
    rm -rf "$scratch"
}
trap end EXIT
