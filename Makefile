# One command for each thing a person does here; `make help` lists them.

SITE ?=
PORT ?= 8080
NET ?= user
MEM ?= 64M
ACCEL ?= auto
APPEND ?=
CONSOLE ?=
GDB ?= target/gdb.sock

# Handed to the commands through the environment: no name needs quoting twice.
export SITE PORT NET MEM ACCEL APPEND CONSOLE GDB
# The kernel and the tool find each other in target/.
export CARGO_TARGET_DIR := $(CURDIR)/target

KERNEL := target/quartz-unikernel
BUILT := target/x86_64-quartz/kernel/quartz-unikernel

.PHONY: build
build: kernel tool ## the kernel and the quartz command
	@echo 'built $(KERNEL).elf and target/release/quartz; next: make run, or make help'

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make run takes: SITE=dir PORT=8080 NET=user|tap:NAME MEM=64M ACCEL=auto|kvm|tcg APPEND=words CONSOLE=1'

.PHONY: setup
setup: ## installs what building and running need, if it is missing
	@qemu/setup.sh run

.PHONY: kernel
kernel: setup ## target/quartz-unikernel.elf, and .debug with the symbols
	@RUSTC_BOOTSTRAP=1 cargo kernel
	@if [ ! -e $(KERNEL).debug ] || ! cmp -s $(BUILT) $(KERNEL).debug || [ ! -e $(KERNEL).elf ]; then \
		objcopy --strip-all $(BUILT) $(KERNEL).elf.new && \
		cp $(BUILT) $(KERNEL).debug.new && \
		mv $(KERNEL).elf.new $(KERNEL).elf && \
		mv $(KERNEL).debug.new $(KERNEL).debug; \
	fi

.PHONY: example
example: setup tool ## target/quartz-live.elf: the example application; make example-run shows it
	@RUSTC_BOOTSTRAP=1 cargo example
	@objcopy --strip-all target/x86_64-quartz/kernel/quartz-live target/quartz-live.elf
	@cp target/x86_64-quartz/kernel/quartz-live target/quartz-live.debug

.PHONY: example-run
example-run: example ## serve the live page on 127.0.0.1:PORT until Ctrl-C
	@exec target/release/quartz run --kernel target/quartz-live.elf --site examples/live/site \
		--port "$$PORT" --net "$$NET" --mem "$$MEM" --accel "$$ACCEL" --append "$$APPEND"

.PHONY: tool
tool: setup
	@cargo build --release -p quartz

.PHONY: run
run: kernel tool ## serve SITE (default: the demo) on 127.0.0.1:PORT until Ctrl-C
	@exec target/release/quartz run $${SITE:+--site "$$SITE"} --port "$$PORT" --net "$$NET" \
		--mem "$$MEM" --accel "$$ACCEL" --append "$$APPEND" $${CONSOLE:+--console}

.PHONY: debug
debug: kernel tool ## the same, stopped until gdb lets it run; GDB: socket or port (default: target/gdb.sock)
	@qemu/setup.sh debug
	@exec target/release/quartz run --debug="$$GDB" $${SITE:+--site "$$SITE"} --port "$$PORT" \
		--net "$$NET" --mem "$$MEM" --accel "$$ACCEL" --append "$$APPEND"

.PHONY: test
test: ## every test, with one summary
	@qemu/setup.sh test
	@exec qemu/test.sh

.PHONY: acceptance
acceptance: kernel ## the figures of the acceptance list, in one table (some minutes); ROWS='8 9': those alone
	@qemu/setup.sh test
	@cargo build --release -p quartz-plugin
	@exec cargo test --release -q -p quartz --test acceptance -- $(ROWS)

.PHONY: chaos
chaos: kernel ## everything that can go wrong with a service, under load, as a table (as root; minutes)
	@qemu/setup.sh test
	@exec cargo test -q -p quartz --test service -- chaos

.PHONY: soak
soak: kernel tool ## load for SECONDS (default 60), a verdict, soak.json and soak.svg in target/soak
	@qemu/setup.sh test
	@exec target/release/quartz soak --seconds "$(or $(SECONDS),60)"

.PHONY: bench
bench: kernel ## cost and speed beside nginx and lighttpd in Linux guests; QUICK=1: our cost alone
	@qemu/setup.sh bench
	@cargo build --release -p quartz -p quartz-plugin
	@[ -n "$(QUICK)" ] || [ -e target/bench/peers/lighttpd.img ] || qemu/peers/build.sh target/bench/peers
	@exec target/release/quartz bench $(if $(QUICK),--quick) $(if $(KEEP),--keep)

.PHONY: profile
profile: kernel ## which functions the instructions of a request for WHAT (default: /) belong to
	@qemu/setup.sh bench
	@cargo build --release -p quartz -p quartz-plugin
	@exec target/release/quartz profile "$(or $(WHAT),/)"

.PHONY: install
install: build ## the command, the kernel, manual pages and systemd units, into DESTDIR (default: this host)
	@qemu/install.sh install

.PHONY: uninstall
uninstall: ## removes what `make install` installed; configurations and autopsies stay
	@qemu/install.sh uninstall

.PHONY: deb
deb: build ## target/quartz.deb
	@qemu/install.sh deb target/quartz.deb

.PHONY: release
release: ## target/release-VERSION: a tarball, a package, bills of materials, checksums; tried out
	@cargo metadata --locked --format-version 1 >/dev/null
	@$(MAKE) --no-print-directory build
	@qemu/release.sh

.PHONY: sbom
sbom: ## target/sbom: what the tool and the kernel are made of, as CycloneDX
	@qemu/sbom.sh target/sbom

.PHONY: reproduce
reproduce: kernel ## builds the kernel twice more in other directories: the same bytes?
	@qemu/reproduce.sh $(KERNEL).elf

.PHONY: audit
audit: ## licences, sources and known weaknesses of every crate; STRICT=1: none may be left unchecked
	@STRICT="$(STRICT)" qemu/audit.sh

.PHONY: clean
clean: ## removes everything that was built or fetched
	@rm -rf target
