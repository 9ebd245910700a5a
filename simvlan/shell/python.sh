#!/bin/sh
# `python3 [-u ...] -m http.server` is simulated; whatever else Python is asked to do, the real one does.
name=${0##*/}
for word; do
    case $word in
        -mhttp.server) exec @BIN@/http.server "$@" ;;
        -m) module=1 ;;
        http.server) [ -z "$module" ] || exec @BIN@/http.server "$@" ; break ;;
        -[BEIPqsSuv]) ;;
        *) break ;;
    esac
done
old=$IFS
IFS=:
for folder in $PATH; do
    if [ "$folder" != @BIN@ ] && [ -x "$folder/$name" ]; then
        IFS=$old
        exec "$folder/$name" "$@"
    fi
done
echo "$name: command not found" >&2
exit 127
