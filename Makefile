# Sluice. "make help" lists the targets. Everything runs as root on Debian 12
# with Go and git; what else is needed, the targets install themselves.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION)
GO      ?= go

# The version is given above; Go need not ask git, which may refuse a checkout
# that belongs to somebody else.
export GOFLAGS += -buildvcs=false

# Where Debian has ip, nft and tc.
export PATH := $(PATH):/usr/sbin:/sbin

# Time for each fuzz target of "make fuzz".
FUZZTIME ?= 10s

.DEFAULT_GOAL := help

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/sluiced and bin/sluicectl
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/sluiced ./cmd/sluicectl

.PHONY: deb
deb: ## make the Debian package build/sluice_<version>_<architecture>.deb
	GO="$(GO)" scripts/deb.sh

.PHONY: completion
completion: build ## write completion for bash, zsh and fish into build/completion
	@mkdir -p build/completion
	bin/sluicectl completion bash >build/completion/sluicectl
	bin/sluicectl completion zsh >build/completion/_sluicectl
	bin/sluicectl completion fish >build/completion/sluicectl.fish

.PHONY: setup
setup: setup-lint setup-test setup-clients ## install the Debian packages that lint and the tests need, if they are missing

.PHONY: setup-lint setup-test setup-clients
setup-lint setup-test setup-clients: setup-%:
	@scripts/setup.sh $*

.PHONY: demo
demo: build ## show the gateway at work, in a lab of network namespaces
	@test/demo.sh

.PHONY: test
test: setup-test ## run the tests with the race detector, but for the long ones; check that nothing is left behind
	scripts/test.sh

.PHONY: test-all
test-all: setup-test ## run all tests likewise, also the long ones and those in a virtual machine
	scripts/test.sh --all

.PHONY: test-clients
test-clients: setup-clients ## call every supported action by the public SDKs for Go and Node.js, which it fetches into build/clients
	scripts/clients.sh
	$(GO) test -count=1 -run 'TestClients' ./api/aliyun ./api/tencent3

.PHONY: test-vm
test-vm: setup-test ## run the tests of VPN gateways on the kernel's ESP, in a virtual machine with Linux 6.1
	scripts/libreswan.sh
	CGO_ENABLED=0 $(GO) build -o build/programs/ ./cmd/sluiced ./cmd/sluicectl
	E2E_PROGRAMS=$(CURDIR)/build/programs CGO_ENABLED=0 $(GO) test -count=1 -timeout 1h -exec '$(CURDIR)/scripts/vm.sh -timeout 1h' -parallel 1 -run 'TestVPN' -v ./test/e2e
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 1h -exec '$(CURDIR)/scripts/vm.sh -timeout 1h' -skip '/libipsec$$' -v ./dataplane/ipsec

.PHONY: lint
lint: setup-lint ## go vet, staticcheck, gofmt, and whether what is generated is up to date
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@stale=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$stale" ]; then echo "gofmt would change:"; echo "$$stale"; exit 1; fi
	$(GO) run ./api/spec/specgen -check
	GO="$(GO)" scripts/bpf.sh --check
	GO="$(GO)" scripts/topology.sh --check

.PHONY: generate
generate: setup-lint ## generate code and docs/actions.md from the action catalog, compile the BPF programs, draw docs/topology.svg
	$(GO) run ./api/spec/specgen
	GO="$(GO)" scripts/bpf.sh
	GO="$(GO)" scripts/topology.sh

.PHONY: bench
bench: setup-test ## measure, and write build/bench.json
	@mkdir -p build
	$(GO) run ./test/bench -o build/bench.json

.PHONY: bench-vm
bench-vm: setup-test ## measure the shortcut against nftables' flowtables, in a virtual machine with Linux 6.1
	$(GO) build -o build/bench ./test/bench
	scripts/vm.sh -timeout 1h build/bench -run flowtable

.PHONY: fuzz
fuzz: ## fuzz every fuzz target for FUZZTIME (10s)
	GO="$(GO)" scripts/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## remove what was built
	rm -rf bin build
