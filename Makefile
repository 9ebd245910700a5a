# simvlan: `make demo` sets everything up and runs the main job; `make test` sets everything up and runs all tests.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check bench bench-peers bench-live soak-live parity mutants examples packages conformance conformance-rate fuzz-mutants scripts-uml notebooks experiments clean

demo: $(READY)
	$(BIN)/simvlan run examples/two-nodes.sh
	@echo
	$(BIN)/simvlan trace examples/two-nodes.sh --from n1-100-a/eth0 'Ether(dst="ff:ff:ff:ff:ff:ff")/ARP(pdst="192.168.10.1")'

# Three at a time even on two cores: half of the time kernels are waited for.
test: $(READY) packages
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/mypy

# Everything measured against its peers; the table goes to results/benchmarks. Peers that are not built are named and left out.
bench: $(READY)
	$(BIN)/python -m benchmarks

# The peers: ns-3's bridge in C++ (Debian's ns-3), a packet socket into this machine's kernel; ns.py comes with $(VENV).
PEERS := build/peers
bench-peers: $(READY)
	@./.ci/packages peers
	mkdir -p $(PEERS)
	g++ -O3 -DNDEBUG -o $(PEERS)/ns3_bridge benchmarks/peers/ns3_bridge.cc -lns3-bridge -lns3-network -lns3-core
	gcc -O3 -Wall -Wextra -o $(PEERS)/packet_sender benchmarks/peers/packet_sender.c

# Real packets through simulated wires, beside a kernel bridge: results/live. Root, and a machine that does nothing else.
bench-live: $(READY) packages
	$(BIN)/python -m benchmarks.live

# An hour of mixed traffic: memory, descriptors, counters to the frame; results/live/soak.json. For less: SOAK_S=120
SOAK_S ?= 3600
soak-live: $(READY) packages
	$(BIN)/python -m tests.live_soak --seconds $(SOAK_S)

# Thousands of random networks, the batch engine against the walk and the event engine; the totals go to results/parity.
PARITY_NETWORKS ?= 5000
parity: $(READY)
	$(BIN)/python -m tests.batch_campaign --networks $(PARITY_NETWORKS)

# One line of the rules broken at a time; a test must fail. Some only: make mutants MUTANTS="engines/batch underlay"
MUTANTS ?=
mutants: $(READY)
	$(BIN)/python tests/mutants.py $(MUTANTS)

# A new virtual environment whenever pyproject.toml changes.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("simvlan needs Python 3.11 or later; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) \
		|| { ./.ci/packages python; $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@

# The kernel oracle and the tools that the tests hold ours against (Debian packages, as root).
packages:
	@./.ci/packages

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis out build *.egg-info

# Ask a real kernel for the examples' outputs again (User Mode Linux, about a minute).
examples: $(READY) packages
	$(BIN)/python examples/record.py

# The notebooks as they are committed: run from top to bottom, with what they show.
notebooks: $(READY)
	$(BIN)/python notebooks/execute.py

# Random networks against real kernels, by device and class of frame: results/conformance. For hours, in pieces: what was
# interrupted goes on. For instance: make conformance KERNELS=host SCENARIOS=500 SEEDS="1 2"
# Networks with IPv6: make conformance IPV6=--ipv6 SCENARIOS=1000, to results/conformance/ipv6
KERNELS ?= uml host
SCENARIOS ?= 2000
SEEDS ?= 1
IPV6 ?=
conformance: $(READY) packages
	$(BIN)/python experiments/conformance/run.py --kernel $(KERNELS) --scenarios $(SCENARIOS) --seed $(SEEDS) $(IPV6)

# How many such networks a second, boot apart: results/conformance/rate.json. On a machine that does nothing else.
conformance-rate: $(READY) packages
	$(BIN)/python experiments/conformance/rate.py

# Break one rule at a time and see random networks find it, against what Linux did (recorded: no kernel needed).
fuzz-mutants: $(READY)
	$(BIN)/python tests/fuzz_mutants.py

# Packet filters and policy routing on User Mode Linux: every script, every frame, every counter of a rule (minutes).
scripts-uml: $(READY)
	for script in tests/kernel/netfilter/*.sh tests/kernel/routes/*.sh; do $(BIN)/simvlan diff --kernel uml --tries 3 $$script || exit 1; done

# Every experiment, quickly, to out/experiments; the committed runs again: make experiments SIZE=--full
EXPERIMENTS := $(filter-out conformance,$(notdir $(patsubst %/run.py,%,$(wildcard experiments/*/run.py))))
SIZE ?=
experiments: $(READY) packages
	@for name in $(EXPERIMENTS); do \
		echo "== $$name" && $(BIN)/python experiments/$$name/run.py $(SIZE) || exit 1; \
	done
