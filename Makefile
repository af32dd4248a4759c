# Two commands matter: `make run` and `make test`. What they do is in scripts/, one file a job.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test check-fast hooks setup build fmt lint generate unit media charts stories e2e cluster-up cluster-run cluster-down kind-up kind-down deny bench bench-kubernetes sbom images package releases clean clean-all

help: ## this list
	@sed -nE 's/^([a-z0-9-]+):.*## (.*)/  make \1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 26

run: ## install what is missing, build, and start three nodes with all around them; Ctrl-C ends it (SFU_ARGS='--nodes 5')
	@exec scripts/run.sh

test: ## every check, as CI runs them
	@exec scripts/check.sh

check-fast: setup ## what a change can have broken and minutes can show: format, lints, unit tests, stories (BASE=COMMIT to compare with)
	@exec scripts/check-fast.sh $(BASE)

hooks: ## have git run check-fast before each commit (off: git config --unset core.hooksPath)
	@exec scripts/hooks.sh

setup: ## install what building needs, and choose where mediasoup's C++ parts come from
	@exec scripts/setup.sh

build: setup ## build all crates
	@exec scripts/cargo.sh build --workspace

fmt: ## format Rust, shell and Python code
	@exec scripts/format.sh

lint: ## formatting and lints
	@exec scripts/check.sh setup formatting lints

generate: build ## write the generated files anew: crds/, docs/admin-api.yaml, docs/sfucluster.md
	@exec scripts/generate.sh

unit: ## unit and property tests, and tests of the page
	@exec scripts/check.sh setup unit

media: ## integration tests: real workers, links and HTTP, no browsers
	@exec scripts/check.sh setup media

charts: ## tests of the Helm charts, without a cluster
	@exec scripts/check.sh setup build charts

stories: ## stories of reconcile on a real API server, in seconds, without root (PYTEST_ARGS='-k roll' picks some)
	@exec scripts/check.sh setup build stories

# Only a KUBECONFIG that was given to make itself counts: the one of a shell may be of a cluster that nobody wants to test on.
e2e: export SFUMATO_KUBECONFIG := $(if $(filter command,$(origin KUBECONFIG)),$(abspath $(KUBECONFIG)))
e2e: ## whole-system tests, on processes and on Kubernetes (PYTEST_ARGS='-k kill' picks some; KUBECONFIG=FILE: those on Kubernetes, on that cluster)
	@exec scripts/check.sh $(if $(SFUMATO_KUBECONFIG),kubernetes,setup build e2e kubernetes)

cluster-up: ## a real three-node Kubernetes on this machine, without Docker; root (the first time builds it, 5 to 15 min)
	@exec scripts/cluster.sh up

cluster-run: build ## the built operator on that cluster, with a cluster of three nodes
	@exec scripts/cluster-run.sh

cluster-down: ## take it down; nothing of it stays
	@exec scripts/cluster.sh down

kind-up: ## the same on kind, for those who have Docker, with images built by Docker
	@exec scripts/kind.sh up

kind-down: ## take that down
	@exec scripts/kind.sh down

deny: ## dependency policy: licences, bans, sources, advisories
	@exec scripts/check.sh setup dependencies

bench: build ## benchmarks (BENCH_ARGS=--help lists them)
	@exec scripts/bench.sh

bench-kubernetes: build ## figures of Sfumato on the test cluster: times, requests, memory, sizes (8 min)
	@exec scripts/bench-kubernetes.sh

package: build ## an archive and a Debian package of the programs: package/
	@exec scripts/package.sh

releases: ## by hand before a release: what the charts make, read as each supported Kubernetes would
	@exec scripts/releases.sh

sbom: build ## what each program is made of, as CycloneDX: sbom/PROGRAM.cdx.json
	@exec scripts/sbom.sh

images: build ## the images as OCI archives, for a registry: images/NAME.tar
	@exec scripts/images.sh

clean: ## remove what was built from this workspace; mediasoup's worker and the other dependencies stay
	@exec scripts/cargo.sh clean --workspace

clean-all: ## remove everything that was built, the worker too (10 to 14 min of C++ to build again)
	@exec scripts/clean-all.sh
