# holdfast
#
# make build, make demo and make test need Go and git only.
# The other targets name the programs they need.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The version comes from git by ldflags; Go's own stamp fails in clones of another owner.
BUILDFLAGS := -trimpath -buildvcs=false -ldflags "-X main.version=$(VERSION)"

# Everything but the end-to-end tests, which have a target of their own.
UNIT = $$(go list ./... | grep -Ev '/test/(e2e|hostile|tls|sidebyside)$$')

# LIMIT ends a package's tests that hang.
DURATION ?= 10m
RATE     ?= 500
N        ?= 9000
ROUNDS   ?= 5
BASE     ?= HEAD
FUZZTIME ?= 10s
LIMIT    ?= 5m
LINT     := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help build demo test unit e2e failover bench-balance race verify fuzz-smoke lint fmt arm64 churn bench-quick bench-peers bench-tls bench-cmp bench-hold \
	bench-parse bench-slow hostile docs ktls ci clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/holdfast
	go build $(BUILDFLAGS) -o bin/holdfast ./cmd/holdfast

demo: build ## build, serve the demo page and print its URL
	bin/holdfast demo

test: unit e2e ## all tests; those with foreign programs skip when a program is missing

unit: ## unit tests, in shuffled order
	go test -timeout $(LIMIT) -shuffle=on $(UNIT)

e2e: ## end-to-end tests: the real binary between real clients and backends
	go test -timeout $(LIMIT) -count=1 ./test/e2e/... ./test/hostile/... ./test/tls/... ./test/sidebyside/...

failover: ## backends killed and revived under 2,000 requests a second and 2,000 tunnels, beside nginx; minutes
	go test -timeout $(LIMIT) -count=1 -v ./test/e2e -run '^TestKillAndRevive$$' -failover.full

bench-balance: build ## tunnels over 10 servers, by balancing method, beside nginx; writes bench/results/balance.md
	go run ./bench/balance -bin bin/holdfast -write bench/results

race: ## unit tests under the race detector (needs a C compiler)
	go test -timeout $(LIMIT) -race -short $(UNIT)

verify: ## unit tests with assertions compiled in
	go test -timeout $(LIMIT) -tags verify -short $(UNIT)

fuzz-smoke: ## every fuzz target for FUZZTIME (10s)
	scripts/fuzz.sh $(FUZZTIME)

lint: ## gofmt, go vet (also for arm64), shellcheck, golangci-lint
	scripts/lint.sh $(LINT)

fmt: ## rewrite the Go files as gofmt wants them
	gofmt -w $$(git ls-files '*.go')

arm64: ## build for arm64 and run the unit tests under qemu-user (needs qemu-aarch64)
	scripts/arm64.sh

ktls: ## tests of kernel TLS under Debian's kernel in qemu (needs qemu-system-x86_64, cpio, xz, apt-get); not in ci
	scripts/ktls-qemu.sh

churn: build ## random sessions for DURATION (10m) at RATE (500) a second; fails if one is lost
	go run ./bench/churn -bin bin/holdfast -d $(DURATION) -rate $(RATE)

bench-quick: build ## holdfast beside nginx, haproxy and a C relay, under 3 minutes
	go run ./bench/run -quick -within 150s

bench-peers: build ## the same with every load, ROUNDS (5) rounds; NGINX and HAPROXY name other programs; writes bench/results
	go run ./bench/run -rounds $(ROUNDS) -write bench/results

bench-tls: build ## TLS beside nginx and haproxy: handshakes, echoes, bulk, a surge, memory; writes bench/results/tls.md and .json
	go run ./bench/run -scenarios tls-hand,tls-echo,tls-bulk,tls-surge,tls-mem -peers holdfast,nginx,haproxy \
		-rounds $(ROUNDS) -hold-rounds 1 -write bench/results -name tls

bench-cmp: build ## this build beside that of revision BASE, interleaved, ROUNDS (5) rounds: bench-cmp BASE=HEAD~1
	scripts/bench-cmp.sh $(BASE) -rounds $(ROUNDS)

bench-hold: build ## N (9000) idle tunnels, spread over as many processes as the machine's limits ask for
	go run ./bench/hold -bin bin/holdfast -n $(N)

bench-parse: ## httpparse beside net/http and fasthttp, on the same heads
	cd bench/parse && go test -run '^$$' -bench . -benchmem -count=6

bench-slow: build ## a well-behaved client beside 1200 slow ones: latency, memory, what comes back
	go run ./bench/slow -bin bin/holdfast

bench-body: build ## large HTTP bodies each way beside nginx and haproxy: CPU a gigabyte
	go run ./bench/body -bin bin/holdfast

hostile: build ## the hostile corpus against holdfast, nginx and haproxy; writes bench/results/hostile.md
	go run ./bench/hostile -bin bin/holdfast

docs: ## write docs/directives.md anew from the directive table, docs/differences.md from the cases of test/sidebyside
	go test ./config -run TestReference -update
	go test ./test/sidebyside -run TestDifferences -update

ci: ## what .ci/run runs, on a machine that has the programs already
	scripts/ci.sh

clean: ## remove what the build made
	rm -rf bin out
