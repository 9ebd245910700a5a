"""Docker's network drivers over the rtnl operations: macvlan, ipvlan, bridge, host and none."""
