"""Configuration, as rtnetlink: every change of a network goes through these operations.

They validate as the kernel validates and refuse with its errno and text (`errors.RtnlError`). `link.py` holds what all
device kinds share; each kind has a module of its own, found through `KINDS`.
"""

from simvlan.rtnl.kinds import KINDS as KINDS
from simvlan.rtnl.link import link_add as link_add
from simvlan.rtnl.link import link_del as link_del
from simvlan.rtnl.link import link_set as link_set
from simvlan.rtnl.spec import Kind as Kind
from simvlan.rtnl.spec import LinkSpec as LinkSpec
from simvlan.rtnl.spec import PeerSpec as PeerSpec
