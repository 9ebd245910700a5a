"""`ip netns`: namespaces by name. Mirrors ip/ipnetns.c; a namespace's file stands for the namespace itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvlan.tools.iproute.args import Args, integer, look_up, table
from simvlan.tools.iproute.context import Record
from simvlan.tools.iproute.errors import REFUSED, USAGE, WRONG, Failed, Quit, duplicate, invalid, refuse
from simvlan.tools.iproute.netnsid import forget, name_of_id
from simvlan.tools.iproute.usage import usage

if TYPE_CHECKING:
    from simvlan.tools.iproute.context import Context

RUN_DIR = "/run/netns"
NO_NAMESPACE = "Cannot open network namespace: No such file or directory\n"
EVERYWHERE = r"""
names=$1; shift
for name in $names; do
  printf '\nnetns: %s\n' "$name"
  ip netns exec "$name" "$@"
  status=$?; [ $status -le 128 ] || [ $status = 255 ] || exit 1
done
exit 0
"""
"""One namespace after the other whatever the command's status; one that a signal ended is the end (on_netns_exec)."""


def do_netns(ctx: Context, args: Args) -> int | None:
    """Run one `ip netns` command."""
    if not args:
        _list(ctx)
        return None
    if not ctx.opt.everything and len(args) > 1 and _is_bad_name(args.words[args.at + 1]):
        raise Quit(USAGE, f'Invalid netns name "{args.words[args.at + 1]}"\n')
    word = args.take()
    verb = look_up(_VERBS, word)
    if verb is None:
        raise Quit(USAGE, f'Command "{word}" is unknown, try "ip netns help".\n')
    if verb == "help":
        raise usage("netns")
    if verb in ("set", "monitor", "attach"):
        raise refuse(f"ip netns {verb}")
    if verb == "exec":
        return _exec(ctx, args)
    {"list": _listing, "list-id": _list_id, "add": _add, "delete": _delete, "identify": _identify, "pids": _pids}[verb](
        ctx, args
    )
    return None


_VERBS = table(
    [
        (name, name.partition("|")[0])
        for name in (
            "list|show|lst", "list-id", "help", "add", "set", "delete", "identify", "pids", "exec", "monitor", "attach",
        )
    ]
)  # fmt: skip


def _is_bad_name(name: str) -> bool:
    return not name or len(name.encode()) > 255 or "/" in name or name in (".", "..")


def _names(ctx: Context) -> list[str]:
    """Return the names in the order a tmpfs lists them: the newest first."""
    return [name for name in reversed(ctx.net.netns) if name]


def _listing(ctx: Context, args: Args) -> None:
    _list(ctx)


def _list(ctx: Context) -> None:
    records: list[Record] = []
    for name in _names(ctx):
        record: Record = {"name": name}
        if name in ctx.ns.nsids:
            record["id"] = ctx.ns.nsids[name]
        records.append(record)
    ctx.show(records, lambda r: r["name"] + (f" (id: {r['id']})" if "id" in r else "") + "\n")


def _list_id(ctx: Context, args: Args) -> None:
    wanted = -1
    while args:
        word = args.take()
        if word == "target-nsid":
            raise refuse("ip netns list-id target-nsid")
        if word != "nsid":
            raise usage("netns")
        text = args.value()
        if wanted >= 0:
            raise duplicate("nsid", text)
        value = integer(text)
        if value is None or value < 0:
            raise invalid('"nsid" value is invalid', text)
        wanted = value
    known = sorted(ctx.ns.nsids.values())
    if wanted >= 0 and wanted not in known:
        raise Failed(REFUSED, "RTNETLINK answers: No such file or directory\n")
    ctx.show([_id_record(ctx, i) for i in known if wanted in (-1, i)], _id_text)


def _id_record(ctx: Context, ident: int) -> Record:
    record: Record = {"nsid": ident}
    name = name_of_id(ctx.ns, ident)
    return record | ({"name": name} if name else {})


def _id_text(record: Record) -> str:
    name = f"(iproute2 netns name: {record['name']})" if "name" in record else ""
    return f"nsid {record['nsid']} {name}\n"


def _add(ctx: Context, args: Args) -> None:
    if not args:
        raise Failed(WRONG, "No netns name specified\n")
    name = args.take()
    if ctx.netns(name) is not None:
        raise Failed(WRONG, f'Cannot create namespace file "{RUN_DIR}/{name}": File exists\n')
    ctx.net.add_netns(name)


def _delete(ctx: Context, args: Args) -> None:
    if not args and not ctx.opt.everything:
        raise Failed(WRONG, "No netns name specified\n")
    names = _names(ctx) if ctx.opt.everything else [args.take()]
    for name in names:
        if ctx.netns(name) is None:
            text = f'Cannot remove namespace file "{RUN_DIR}/{name}": No such file or directory\n'
            raise Failed(WRONG, text)
        if ctx.netns(name) is ctx.ns:
            raise refuse(f"deleting the namespace that the command runs in ({name})")
        ctx.net.del_netns(name)
        forget(ctx.net, name)
    ctx.net.drain()


def _identify(ctx: Context, args: Args) -> None:
    """Name the namespace of a process, the command itself without one."""
    if len(args) > 1:
        raise Failed(WRONG, "extra arguments specified\n")
    if args and not args.first.isdigit():
        raise Failed(WRONG, f"Specified string '{args.first}' is not a pid\n")
    known = ctx.proc.processes() if args else {}
    if args and int(args.first) not in known:
        raise Failed(WRONG, NO_NAMESPACE)
    ctx.say(f"{known[int(args.first)] if args else ctx.ns.name}\n")


def _pids(ctx: Context, args: Args) -> None:
    if not args:
        raise Failed(WRONG, "No netns name specified\n")
    if len(args) > 1:
        raise Failed(WRONG, "extra arguments specified\n")
    if ctx.netns(args.first) is None:
        raise Failed(WRONG, NO_NAMESPACE)
    ctx.say("".join(f"{pid}\n" for pid, name in sorted(ctx.proc.processes().items()) if name == args.first))


def _exec(ctx: Context, args: Args) -> int:
    """Become another command, in the namespace."""
    if not args and not ctx.opt.everything:
        raise Failed(WRONG, "No netns name specified\n")
    if len(args) < 2 - ctx.opt.everything:
        raise Failed(WRONG, "No command specified\n")
    if ctx.opt.everything:
        return _exec_everywhere(ctx, args.rest())
    name = args.take()
    if ctx.netns(name) is None:
        raise Quit(USAGE, f'Cannot open network namespace "{name}": No such file or directory\n')
    if ctx.batching:
        raise refuse("ip netns exec in a batch")
    return ctx.proc.execute(args.rest(), netns=name)


def _exec_everywhere(ctx: Context, words: list[str]) -> int:
    """Run a command in each namespace."""
    if ctx.batching:
        raise refuse("ip -all netns exec in a batch")
    return ctx.proc.execute(["sh", "-c", EVERYWHERE, "sh", " ".join(_names(ctx)), *words])
