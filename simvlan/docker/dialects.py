"""What differs between Docker releases, as data: the rules of the engine ask these switches and nothing else.

28 says everything; 29 and 27 what they have other than 28, and 1.12 other than 27. Source: moby at the tags v1.12.6
(with the libnetwork in it), v27.5.1, v28.5.2 and v29.0.0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Dialect:
    """One release of Docker."""

    name: str
    version: str
    api: str
    min_api: str
    random_mac: bool
    """A generated MAC is random (28.0), not 02:42 and the IPv4 address."""
    announce: bool
    """Gratuitous ARP when an interface comes up (28.0)."""
    shared_parent: bool
    """Several macvlan networks on one parent (27.0)."""
    shared_pool: bool
    """An identical (subnet, ip-range) pair may be used again and shares its addresses (1.12)."""
    guessed_gateway: bool
    """macvlan and ipvlan l2 take a free address as the gateway when none is given (until 29.0)."""
    hidden_gateway: bool
    """Even internal networks, those without parent and ipvlan l3 take a gateway address (until 28.0)."""
    optional_ipv4: bool
    """`--ipv4=false` (28.0)."""
    gw_priority: bool
    """`--gw-priority` (28.0)."""
    start_prefix: str
    """What stands before an error of a start's network part (28.0.1)."""
    pool_prefix: str
    """What stands before an overlap's text (27.0)."""
    validates: bool
    """The shape of a network's addresses is checked before anything else, and an `--ip` at create (27.0)."""
    nil_parent_internal: bool
    """A network without parent has no default route (26.1; 1.12 and 20.10 on: it has)."""
    ipam_status: bool
    """`Status.IPAM.Subnets` in network inspect (API 1.52)."""
    options_late: bool
    """A driver's options are read after its addresses are reserved (all but 28)."""
    ipvlan_flag: bool
    """`ipvlan_flag` and mode `l3s` exist (23.0, 22.06)."""
    busy: str
    """Why a network with endpoints is not removed; {name}, {id}, {endpoints}."""
    predefined: str
    """Why a network is not to be called so; {name}."""
    parent_missing: str
    """What is said when `X` of `X.N` is not there; {parent}."""
    empty_pool_status: int
    """The status of `ipv4 pool is empty`: 400 since 28.0."""
    aux_outside: str
    """An auxiliary address of another subnet; {name}, {address}, {subnet}."""
    failed_start_dies: bool = False
    """A start that fails is told as `die` (until 1.12); clients with `--rm` wait for that."""


DIALECT_28 = Dialect(
    name="28", version="28.5.2", api="1.51", min_api="1.24", random_mac=True, announce=True, shared_parent=True,
    shared_pool=False, guessed_gateway=True, hidden_gateway=False, optional_ipv4=True, gw_priority=True,
    start_prefix="failed to set up container networking: ", pool_prefix="invalid pool request: ", validates=True,
    nil_parent_internal=True, ipam_status=False, options_late=False, ipvlan_flag=True,
    busy="error while removing network: network {name} has active endpoints ({endpoints})",
    predefined="operation is not permitted on predefined {name} network ",
    parent_missing="-o parent interface was not found on the host: {parent}",
    empty_pool_status=400,
    aux_outside="auxiliary address: ({name}:{address}) must belong to the master pool: {subnet}",
)  # fmt: skip

DIALECT_29 = replace(
    DIALECT_28, name="29", version="29.0.0", api="1.52", min_api="1.44",
    guessed_gateway=False, ipam_status=True, options_late=True,
)  # fmt: skip

DIALECT_27 = replace(
    DIALECT_28, name="27", version="27.5.1", api="1.47",
    random_mac=False, announce=False, hidden_gateway=True, optional_ipv4=False, gw_priority=False, start_prefix="",
    options_late=True, busy="error while removing network: network {name} id {id} has active endpoints",
    empty_pool_status=500,
)  # fmt: skip

DIALECT_1_12 = replace(
    DIALECT_27, name="1.12", version="1.12.6", api="1.24", min_api="1.12",
    shared_parent=False, shared_pool=True, pool_prefix="", validates=False, nil_parent_internal=False,
    ipvlan_flag=False, failed_start_dies=True, busy="network {name} has active endpoints",
    predefined="{name} is a pre-defined network and cannot be created",
    parent_missing="-o parent interface does was not found on the host: {parent}",
    aux_outside="auxilairy address: ({name}:{address}) must belong to the master pool: {subnet}",
)  # fmt: skip

DIALECTS = {each.name: each for each in (DIALECT_1_12, DIALECT_27, DIALECT_28, DIALECT_29)}


def dialect_named(name: str) -> Dialect:
    """Find a dialect. Raises ValueError naming those there are."""
    if name not in DIALECTS:
        raise ValueError(f"no Docker dialect {name!r}: there are {', '.join(DIALECTS)}")
    return DIALECTS[name]
