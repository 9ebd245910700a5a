#!/bin/bash
# A script as it is, on devices whose neighbours stay trusted for an hour: no command is so slow that a timer of theirs
# ends meanwhile. They are given that for IPv4 when `ip -n NETNS link set DEV ... up` brings them up, for IPv6 when
# `ip netns exec NETNS sysctl ... disable_ipv6=0` switches it on. What a namespace says then at moments drawn at random
# is over before the next command, so who hears it is the same at any speed.
trust() { # trust NETNS FAMILY DEV...
    local settings=() netns=$1 family=$2 dev
    for dev in "${@:3}"; do
        settings+=("net/$family/neigh/$dev/delay_first_probe_time=3600" "net/$family/neigh/$dev/base_reachable_time_ms=3600000")
    done
    command ip netns exec "$netns" sysctl -qw "${settings[@]}"
}
ip() {
    command ip "$@" || return
    case "$*" in
        "-n "*" link set "*" up") trust "$2" ipv4 "$5" ;;
        "netns exec "*" sysctl "*"disable_ipv6=0")
            trust "$3" ipv6 $(command ip -n "$3" -o link show | sed 's,^[0-9]*: \([^@:]*\).*,\1,')
            sleep 2.5
            ;;
    esac
}
export -f trust ip
exec bash "$@"
