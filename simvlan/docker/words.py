"""`docker-machine` and `VBoxManage` as words in scripts: virtual machines with an engine each, their NICs' policies.

docker-machine 0.16 and VirtualBox 6.1, as far as a lab needs them; anything else is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from simvlan.docker.cluster import DIALECT_VARIABLE, cluster_of
from simvlan.docker.machines import MachineError, Machines
from simvlan.underlay import POLICIES

if TYPE_CHECKING:
    from simvlan.tools.program import Process

PORT = 2376
VALUED = ("--driver", "-d")
Verb = Callable[["Process", Machines, list[str]], int]


def docker_machine(proc: Process) -> int:
    """docker-machine: create, ls, status, ip, env, ssh, stop, start, restart, rm."""
    words = proc.argv[1:]
    verb = words[0] if words else "help"
    if verb not in MACHINE_VERBS:
        return _refused(proc, "docker-machine", verb, MACHINE_VERBS)
    try:
        return MACHINE_VERBS[verb](proc, Machines(cluster_of(proc.lab)), words[1:])
    except MachineError as error:
        proc.write_err(f"{error}\n")
        return 1


def _refused(proc: Process, program: str, verb: str, known: dict[str, Verb]) -> int:
    proc.write_err(f"simvlan: {program} {verb}: not simulated; there is {', '.join(sorted(known))}\n")
    return 1


def _names(words: list[str], flags: tuple[str, ...] = ()) -> list[str]:
    names = [word for word in words if word not in flags]
    for name in names:
        if name.startswith("-"):
            raise MachineError(f"simvlan: docker-machine: option {name} is not simulated")
    if not names:
        raise MachineError("Error: Expected to get one or more machine names as arguments")
    return names


def _machine(machines: Machines, name: str) -> None:
    if name not in machines.cluster.machines:
        raise MachineError(f'Docker machine "{name}" does not exist. Use "docker-machine ls" to list machines. '
                           'Use "docker-machine create" to add a new one.')  # fmt: skip


def _create(proc: Process, machines: Machines, words: list[str]) -> int:
    driver, names, rest = "virtualbox", [], list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in VALUED:
            driver = value if equals else (rest.pop(0) if rest else "")
        elif name.startswith("--virtualbox-"):
            if not equals and rest:
                rest.pop(0)  # sizes, images: nothing here depends on them
        elif name.startswith("-"):
            raise MachineError(f"simvlan: docker-machine create: option {name} is not simulated")
        else:
            names.append(word)
    if driver != "virtualbox":
        raise MachineError(f"simvlan: docker-machine create: driver {driver!r} is not simulated; use -d virtualbox")
    if len(names) != 1:
        raise MachineError("Error: No machine name specified" if not names else
                           f"Invalid command line. Found extra arguments {names[1:]}")  # fmt: skip
    if names[0] in machines.cluster.machines:
        raise MachineError(f'Docker machine "{names[0]}" already exists')
    machines.create(names[0], proc.env.get(DIALECT_VARIABLE))
    proc.write(
        f"Running pre-create checks...\nCreating machine...\n({names[0]}) Creating VirtualBox VM...\n"
        f"({names[0]}) Starting the VM...\n({names[0]}) Waiting for an IP...\nChecking connection to Docker...\n"
        "Docker is up and running!\nTo see how to connect your Docker Client to the Docker Engine running on this "
        f"virtual machine, run: docker-machine env {names[0]}\n"
    )
    return 0


def _url(machines: Machines, name: str) -> str:
    machine = machines.find(name)
    return f"tcp://{machine.address}:{PORT}" if machine.running else ""


def _list(proc: Process, machines: Machines, words: list[str]) -> int:
    known = sorted(machines.cluster.machines.values(), key=lambda each: each.name)
    if words in (["-q"], ["--quiet"]):
        proc.write("".join(f"{each.name}\n" for each in known))
        return 0
    rows = [("NAME", "ACTIVE", "DRIVER", "STATE", "URL", "SWARM", "DOCKER", "ERRORS")]
    for each in known:
        url = _url(machines, each.name)
        active = "*" if url and proc.env.get("DOCKER_HOST") == url else "-"
        version = f"v{machines.cluster.engine(each.name).core.dialect.version}" if each.running else "Unknown"
        rows.append((each.name, active, "virtualbox", _state(each.running), url, "", version, ""))
    widths = [max(len(row[i]) for row in rows) for i in range(8)]
    for row in rows:
        proc.write("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() + "\n")
    return 0


def _state(running: bool) -> str:
    return "Running" if running else "Stopped"


def _status(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words):
        _machine(machines, name)
        proc.write(f"{_state(machines.find(name).running)}\n")
    return 0


def _ip(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words):
        _machine(machines, name)
        if not machines.find(name).running:
            raise MachineError("Error getting IP address: Host is not running")
        proc.write(f"{machines.find(name).address}\n")
    return 0


def _env(proc: Process, machines: Machines, words: list[str]) -> int:
    if words and words[0] in ("-u", "--unset"):
        proc.write("unset DOCKER_HOST\nunset DOCKER_MACHINE_NAME\n# Run this command to configure your shell:\n"
                   "# eval $(docker-machine env -u)\n")  # fmt: skip
        return 0
    name = _names(words)[0]
    _machine(machines, name)
    if not machines.find(name).running:
        raise MachineError(f"Error checking TLS connection: Host is not running: docker-machine start {name}")
    proc.write(
        f'export DOCKER_HOST="{_url(machines, name)}"\nexport DOCKER_MACHINE_NAME="{name}"\n'
        f"# Run this command to configure your shell:\n# eval $(docker-machine env {name})\n"
    )
    return 0


def _ssh(proc: Process, machines: Machines, words: list[str]) -> int:
    if not words:
        raise MachineError("Error: Expected one machine name as an argument")
    name, command = words[0], words[1:]
    _machine(machines, name)
    if not machines.find(name).running:
        raise MachineError(f'Error: Cannot run SSH command: Host "{name}" is not running')
    env = {key: value for key, value in proc.env.items() if key not in ("DOCKER_HOST", "DOCKER_MACHINE_NAME")}
    # sshd gives the words, joined by blanks, to a shell: quoting is the caller's.
    return proc.execute(["bash", "-c", " ".join(command)] if command else ["bash"], netns=name, env=env)


def _stop(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words):
        _machine(machines, name)
        proc.write(f'Stopping "{name}"...\n')
        machines.stop(name)
        proc.write(f'Machine "{name}" was stopped.\n')
    return 0


def _start(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words):
        _machine(machines, name)
        proc.write(f'Starting "{name}"...\n')
        machines.start(name)
        proc.write(f'Machine "{name}" was started.\n')
    proc.write("Started machines may have new IP addresses. You may need to re-run the `docker-machine env` command.\n")
    return 0


def _restart(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words):
        _machine(machines, name)
        proc.write(f'Restarting "{name}"...\n')
        machines.stop(name)
        machines.start(name)
    return 0


def _remove(proc: Process, machines: Machines, words: list[str]) -> int:
    for name in _names(words, ("-f", "--force", "-y")):
        _machine(machines, name)
        proc.write(f"About to remove {name}\n")
        machines.remove(name)
        proc.write(f"Successfully removed {name}\n")
    return 0


MACHINE_VERBS: dict[str, Verb] = {
    "create": _create, "env": _env, "ip": _ip, "ls": _list, "restart": _restart, "rm": _remove, "ssh": _ssh,
    "start": _start, "status": _status, "stop": _stop,
}  # fmt: skip


# -- VBoxManage -------------------------------------------------------------------------------------------------------


def vboxmanage(proc: Process) -> int:
    """VBoxManage: list, showvminfo, modifyvm and controlvm with nicpromiscN, setlinkstateN, startvm, poweroff."""
    words = proc.argv[1:]
    verb = words[0] if words else "help"
    if verb not in VBOX_VERBS:
        return _refused(proc, "VBoxManage", verb, VBOX_VERBS)
    machines = Machines(cluster_of(proc.lab))
    try:
        if verb != "list":
            _registered(machines, words[1:])
        return VBOX_VERBS[verb](proc, machines, words[1:])
    except MachineError as error:
        proc.write_err(f"VBoxManage: error: {error}\n")
        return 1


def _registered(machines: Machines, words: list[str]) -> None:
    name = words[0] if words else ""
    if name not in machines.cluster.machines:
        raise MachineError(
            f"Could not find a registered machine named '{name}'\nVBoxManage: error: Details: code "
            "VBOX_E_OBJECT_NOT_FOUND (0x80bb0001), component VirtualBoxWrap, interface IVirtualBox, callee nsISupports"
        )


def _vms(proc: Process, machines: Machines, words: list[str]) -> int:
    if words not in (["vms"], ["runningvms"]):
        raise MachineError(f"simvlan: list {' '.join(words)}: not simulated; there is vms and runningvms")
    for machine in machines.cluster.machines.values():
        if machine.running or words == ["vms"]:
            proc.write(f'"{machine.name}" {{{_uuid(machine.name)}}}\n')
    return 0


def _uuid(name: str) -> str:
    from uuid import NAMESPACE_DNS, uuid5

    return str(uuid5(NAMESPACE_DNS, name))


def _show(proc: Process, machines: Machines, words: list[str]) -> int:
    machine = machines.find(words[0])
    proc.write(f"Name:                        {machine.name}\n")
    proc.write(f"State:                       {'running' if machine.running else 'powered off'}\n")
    for number, nic in enumerate(machine.nics, 1):
        kind = "NAT" if nic.network == "nat" else "Host-only Interface 'vboxnet0'"
        mac = nic.mac.replace(":", "").upper()
        proc.write(f"NIC {number}:                       MAC: {mac}, Attachment: {kind}, Cable connected: on, "
                   f"Promisc Policy: {machines.policy(machine.name, number)}\n")  # fmt: skip
    return 0


def _modify(proc: Process, machines: Machines, words: list[str]) -> int:
    machine, rest = machines.find(words[0]), words[1:]
    if machine.running:
        raise MachineError(
            f"The machine '{machine.name}' is already locked for a session (or being unlocked)\nVBoxManage: error: "
            "Details: code VBOX_E_INVALID_OBJECT_STATE (0x80bb0007), component MachineWrap, interface IMachine\n"
            f"simvlan: modifyvm works on a machine that is stopped (docker-machine stop {machine.name}); "
            "controlvm on one that runs"
        )
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not equals:
            value = rest.pop(0) if rest else ""
        _set_nic(machines, machine.name, name.removeprefix("--").replace("nic-promisc", "nicpromisc"), value)
    return 0


def _set_nic(machines: Machines, name: str, option: str, value: str) -> None:
    found = re.fullmatch(r"(nicpromisc|setlinkstate|cableconnected)(\d+)", option)
    if found is None:
        raise MachineError(f"simvlan: {option}: not simulated; there is nicpromiscN {'|'.join(POLICIES)}")
    word, number = found[1], int(found[2])
    if word == "nicpromisc":
        machines.set_policy(name, number, value)
        return
    if value not in ("on", "off"):
        raise MachineError(f"Invalid link state '{value}'")
    machines.set_link(name, number, value == "on")


def _control(proc: Process, machines: Machines, words: list[str]) -> int:
    machine, rest = machines.find(words[0]), words[1:]
    if not machine.running:
        raise MachineError(
            f"Machine '{machine.name}' is not currently running.\nsimvlan: docker-machine start {machine.name}, "
            "or modifyvm while it is stopped"
        )
    if rest in (["poweroff"], ["acpipowerbutton"]):
        machines.stop(machine.name)
        return 0
    if len(rest) != 2:
        raise MachineError(f"simvlan: controlvm {' '.join(rest)}: not simulated")
    _set_nic(machines, machine.name, *rest)
    return 0


def _boot(proc: Process, machines: Machines, words: list[str]) -> int:
    machines.start(words[0])
    proc.write(f'Waiting for VM "{words[0]}" to power on...\nVM "{words[0]}" has been successfully started.\n')
    return 0


VBOX_VERBS: dict[str, Verb] = {
    "controlvm": _control, "list": _vms, "modifyvm": _modify, "showvminfo": _show, "startvm": _boot,
}  # fmt: skip
