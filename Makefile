# SPDX-License-Identifier: Apache-2.0
# A thin front for meson: 'make run' and 'make test' on a fresh machine; 'make help' for the rest.
BUILD ?= build
export LC_ALL ?= C.UTF-8
FUZZ_SECONDS ?= 60
ROW_RUNS ?= 20
HEAP_RUNS ?= 20
HEAP_KILLS ?= 1000
SOURCES = $(shell git ls-files '*.c' '*.h')

.PHONY: run test test-vm attribution bench accuracy heap-truth heap-storm fuzz asan tsan tidy format format-check install build clean help

help:
	@echo 'make run           install what is missing, build, run the built-in lab'
	@echo 'make test          unit, kernel and end-to-end tests, on this machine and in User Mode Linux'
	@echo 'make test-vm       the same on a stock kernel in QEMU: PSI, several CPUs, systemd sessions'
	@echo 'make attribution   who killed it, ROW_RUNS times (20) a row, on this kernel and on cgroup v2'
	@echo 'make bench         measurements'
	@echo 'make accuracy      the verdict on the labelled traces: docs/accuracy.md'
	@echo 'make heap-truth    the heap profile against the truth, HEAP_RUNS kills (20): docs/heap.md'
	@echo 'make heap-storm    the heap recorder killed HEAP_KILLS times (1000) amid threads, forks and signals'
	@echo 'make fuzz          every fuzz target for FUZZ_SECONDS each (60)'
	@echo 'make asan tsan     unit tests under AddressSanitizer+UBSan, threads under ThreadSanitizer'
	@echo 'make tidy          clang-tidy          make format   clang-format'
	@echo 'make install       install below /usr/local (or: meson configure build -Dprefix=DIR)'
	@echo 'make clean         remove the build directories'

run:
	@scripts/deps run
	@scripts/build $(BUILD) oomlab
	@$(BUILD)/oomlab run

build:
	@scripts/build $(BUILD)

test:
	@scripts/deps test
	@scripts/build $(BUILD) -Dtests=enabled
	@scripts/test --build $(BUILD)

test-vm:
	@scripts/deps vm
	@scripts/build $(BUILD) -Dtests=enabled
	@scripts/test --build $(BUILD) qemu

attribution:
	@scripts/deps test
	@scripts/build $(BUILD) -Dtests=enabled
	@OOMLAB_ROW_RUNS=$(ROW_RUNS) scripts/test --build $(BUILD) rows rows-uml

bench:
	@scripts/deps bench
	@scripts/build $(BUILD) -Dtests=enabled
	@meson test -C $(BUILD) --no-rebuild --benchmark --verbose

accuracy:
	@scripts/deps test
	@scripts/build $(BUILD) -Dtests=enabled
	@python3 tests/corpus/accuracy.py --judge $(BUILD)/tests/corpus/judge --write docs/accuracy.md

heap-truth:
	@scripts/deps test
	@scripts/build $(BUILD) -Dtests=enabled
	@OOMLAB=$(BUILD)/oomlab python3 tests/heap/sites.py --runs $(HEAP_RUNS)

heap-storm:
	@scripts/deps test
	@scripts/build $(BUILD) -Dtests=enabled
	@python3 tests/heap/storm.py --build $(BUILD) --runs $(HEAP_KILLS)

fuzz:
	@scripts/deps ci
	@scripts/fuzz all $(FUZZ_SECONDS)

asan:
	@scripts/deps test
	@scripts/build build-asan -Dtests=enabled -Db_sanitize=address,undefined
	@scripts/test --build build-asan unit fuzz

tsan:
	@scripts/deps test
	@scripts/build build-tsan -Dtests=enabled -Db_sanitize=thread
	@scripts/test --build build-tsan threads

tidy:
	@scripts/deps ci
	@scripts/tidy

format:
	@scripts/deps ci
	@clang-format -i $(SOURCES)

install:
	@scripts/deps run
	@scripts/build $(BUILD)
	@meson install -C $(BUILD)

clean:
	rm -rf build build-*
