# `make demo` and `make test` need Python 3.10+ (with venv and headers), g++, make and git. The rest comes from PyPI into .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet install
ARGS ?=
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export CMAKE_GENERATOR := Ninja
export CMAKE_BUILD_PARALLEL_LEVEL := $(shell nproc 2>/dev/null || echo 2)

.PHONY: help demo test long simulate bench bench-smoke lint format typecheck arrows tidy native fuzz wheel docs real-server real-models dev clean

help:
	@echo "make demo         measure a real LLM server and our own error (DEMO=light: without the 240 MB model)"
	@echo "make test         run all tests (ARGS='-k clock' picks)"
	@echo "make long         what takes too long for every change: ten minutes of load, memory watched; forty healthy runs; test lists and sweeps that must decide"
	@echo "make simulate     how often 95 % intervals hold the truth, over a thousand simulated runs of each kind"
	@echo "make bench        microbenchmarks, results/bench.json"
	@echo "make lint         ruff, clang-format;  make format applies them"
	@echo "make typecheck    mypy --strict"
	@echo "make arrows       which package may import which"
	@echo "make tidy         clang-tidy over csrc"
	@echo "make native       native tests: plain, under ASan+UBSan, under TSan"
	@echo "make fuzz         every fuzzer for 10 s (FUZZ_S=600 for longer); needs clang: apt install clang libclang-rt-dev"
	@echo "make docs         rewrite the tables of docs/metrics.md from the code"
	@echo "make wheel        build the wheel and run it from an empty environment"
	@echo "make real-server  install the LLM server and model that demo and tests/real use (240 MB)"
	@echo "make real-models  install PyTorch, transformers and a real encoder for the tests of runtimes (1.3 GB)"
	@echo "make dev          install everything the targets above need;  make clean removes what was built"

# --- what must be on the machine: one line each, saying what to install ------------------------------------------------
has_python := $(PYTHON) --version
has_python_3_10 := $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))'
has_venv := $(PYTHON) -c 'import ensurepip, venv'
has_headers := $(PYTHON) -c 'import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
has_compiler := command -v $(CXX)
has_cxx20 := echo 'int main() {}' | $(CXX) -std=c++20 -fsyntax-only -x c++ -
need = $(if $(shell $(1) >/dev/null 2>&1 && echo yes),,$(error $(2)))

define check_machine
$(call need,$(has_python),no $(PYTHON) here: apt install python3 python3-venv python3-dev)
$(call need,$(has_python_3_10),needs Python 3.10 or newer but $(PYTHON) is $(shell $(PYTHON) --version): make PYTHON=python3.12)
$(call need,$(has_venv),$(PYTHON) has no venv module: apt install python3-venv)
$(call need,$(has_headers),$(PYTHON) has no headers (Python.h): apt install python3-dev)
$(call need,$(has_compiler),no C++ compiler ($(CXX)): apt install g++)
$(call need,$(has_cxx20),$(CXX) does not know C++20 (g++ 10 or newer does): apt install g++)
endef

# --- the environment ---------------------------------------------------------------------------------------------------
$(VENV)/.made:
	$(check_machine)
	@echo "making $(VENV)" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) scikit-build-core pybind11 argparse-manpage cmake ninja
	@touch $@

# Python files are used in place; only native code and metadata need this step again (the build folder is kept).
NATIVE := pyproject.toml CMakeLists.txt $(shell find csrc/src csrc/include csrc/bindings -type f 2>/dev/null)
$(VENV)/.installed: $(VENV)/.made $(NATIVE)
	@echo "building tokenclock" >&2
	@$(PIP) --no-build-isolation --check-build-dependencies --editable .
	@touch $@

# The extras of the package that is installed already: pip adds what they name and leaves the package alone.
$(VENV)/.extra-%: pyproject.toml | $(VENV)/.installed
	@echo "installing what '$*' needs" >&2
	@$(PIP) 'tokenclock[$*]'
	@touch $@

real-server: $(VENV)/.installed $(VENV)/.extra-demo
real-models: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-torch-test
dev: $(VENV)/.installed $(VENV)/.extra-dev $(VENV)/.extra-demo

# --- the two commands of the README ------------------------------------------------------------------------------------
ifeq ($(DEMO),light)
demo: $(VENV)/.installed $(VENV)/.extra-offline
	@$(VENV)/bin/tokenclock demo --light $(ARGS)
else
demo: $(VENV)/.installed $(VENV)/.extra-demo
	@$(VENV)/bin/tokenclock demo $(ARGS)
endif

# One serial process: tests marked `timing` never share the machine with another test.
test: $(VENV)/.installed $(VENV)/.extra-test
	$(PY) -m pytest $(ARGS)

# --- looking after the code --------------------------------------------------------------------------------------------
long: $(VENV)/.installed $(VENV)/.extra-test
	TOKENCLOCK_LONG=1 $(PY) -m pytest tests/long tests/test_quality_healthy.py -s -o faulthandler_timeout=1200 $(ARGS)

simulate: $(VENV)/.installed $(VENV)/.extra-test
	TOKENCLOCK_SIMULATE=1 $(PY) -m pytest tests/simulate -s -m simulate -o faulthandler_timeout=3600 $(ARGS)

bench: $(VENV)/.installed $(VENV)/.extra-test
	@mkdir -p results
	$(PY) -m pytest bench --benchmark-json=results/bench.json $(ARGS)

bench-smoke: $(VENV)/.installed $(VENV)/.extra-test
	$(PY) -m pytest bench --benchmark-disable $(ARGS)

CXX_FILES = $(shell git ls-files 'csrc/*.cpp' 'csrc/*.h' 'bench/*.cpp')
PY_PLACES = python tests bench docs

lint: $(VENV)/.installed $(VENV)/.extra-dev
	ruff check $(PY_PLACES)
	ruff format --check $(PY_PLACES)
	@clang-format --dry-run --Werror $(CXX_FILES)

format: $(VENV)/.installed $(VENV)/.extra-dev
	ruff check --fix $(PY_PLACES)
	ruff format $(PY_PLACES)
	@clang-format -i $(CXX_FILES)

typecheck: $(VENV)/.installed $(VENV)/.extra-dev
	mypy

arrows: $(VENV)/.installed $(VENV)/.extra-dev
	lint-imports

# Compile commands come from the default preset; the bindings are left out (pybind11's own headers drown the rest).
tidy: $(VENV)/.installed $(VENV)/.extra-dev
	cmake --preset default >/dev/null
	@printf '%s\n' csrc/src/*.cpp | xargs -P $(CMAKE_BUILD_PARALLEL_LEVEL) -n 1 clang-tidy -p build/default --quiet --warnings-as-errors='*'

# Address randomisation of new kernels can leave TSan no room for its shadow memory; setarch -R turns it off where allowed.
NO_ASLR = $(shell setarch -R true 2>/dev/null && echo setarch -R)
native: $(VENV)/.installed
	cmake --workflow --preset default
	cmake --workflow --preset asan-ubsan
	timeout 900 $(NO_ASLR) cmake --workflow --preset tsan

FUZZ_S ?= 10
has_libfuzzer := find -L "$$(clang++ -print-resource-dir)" -name 'libclang_rt.fuzzer*.a' | grep .
fuzz: $(VENV)/.made
	$(call need,$(has_libfuzzer),no clang++ with libFuzzer here: apt install clang libclang-rt-dev)
	@mkdir -p build
	cmake --workflow --preset fuzz >build/fuzz.log 2>&1 || { cat build/fuzz.log; exit 1; }
	csrc/fuzz/run $(FUZZ_S)

wheel: $(VENV)/.made
	rm -rf build/wheel-check && mkdir -p build/wheel-check
	$(PY) -m pip --disable-pip-version-check --quiet wheel --no-deps --no-build-isolation -w build/wheel-check .
	$(PYTHON) -m venv build/wheel-check/venv
	build/wheel-check/venv/bin/python -m pip --disable-pip-version-check --quiet install build/wheel-check/*.whl
	cd build/wheel-check && venv/bin/tokenclock --version && ls venv/share/man/man1/tokenclock-*.1

docs: $(VENV)/.installed
	$(PY) docs/make_tables.py

clean:
	rm -rf $(VENV) build dist results .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
