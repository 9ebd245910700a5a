"""The device kinds that can be made, by the name `ip link add ... type NAME` uses. Modules load on first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from simvlan.rtnl.spec import Kind

_MODULES = {
    "bridge": "simvlan.rtnl.bridge:BridgeKind",
    "dummy": "simvlan.rtnl.basic:DummyKind",
    "ipvlan": "simvlan.rtnl.ipvlan:IpvlanKind",
    "macvlan": "simvlan.rtnl.macvlan:MacvlanKind",
    "veth": "simvlan.rtnl.basic:VethKind",
    "vlan": "simvlan.rtnl.vlan:VlanKind",
}


class _Kinds(Mapping[str, Kind]):
    """Names to kinds, imported when first asked for."""

    def __init__(self) -> None:
        self._made: dict[str, Kind] = {}

    def __getitem__(self, name: str) -> Kind:
        if name not in self._made:
            module, _, attribute = _MODULES[name].partition(":")
            self._made[name] = getattr(import_module(module), attribute)()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_MODULES)

    def __len__(self) -> int:
        return len(_MODULES)


KINDS: Mapping[str, Kind] = _Kinds()
