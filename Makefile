# triport's commands. `make demo` and `make test` do all set-up themselves; the second time they only look at a stamp.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first Python from 3.11 on; 3.11 itself first, because the old devices' wheels exist for nothing newer.
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
PYTHON311 ?= $(shell for p in python3.11 python3; do \
    $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && echo $$p && break; done)

# Stamps carry a hash of what says what to install (file times mean nothing in a fresh checkout).
VENV_STAMP := .venv/.installed-$(shell { cat requirements-dev.txt; sed '/^\[tool.pytest/,$$d' pyproject.toml; } | sha256sum | cut -c1-16)
COMPAT_STAMP := .venv-compat/.installed-$(shell sha256sum < requirements-compat.txt | cut -c1-16)
COMPAT_DIR := build/compat
PEERS_STAMP := .venv-peers/.installed-$(shell cat requirements-peers.txt requirements-onnx2tf.txt | sha256sum | cut -c1-16)
NPM_BENCH_STAMP := .npm-bench/.installed-$(shell sha256sum < benchmarks/web_peers/package.json | cut -c1-16)
NETWORKS_STAMP := .venv-networks/.installed-$(shell cat requirements-networks.txt requirements-dev.txt Makefile | sha256sum | cut -c1-16)

# Chrome, Chromium or Edge: $CHROME, or the first of these on PATH.
CHROME_NAMES := chromium chromium-browser google-chrome google-chrome-stable chrome microsoft-edge microsoft-edge-stable
FIND_CHROME = for c in "$${CHROME:-}" $(CHROME_NAMES); do p=$$(command -v "$$c" 2>/dev/null) && break; p=; done

PIP_INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check
MYPY := .venv/bin/mypy
# torch's own modules answer Any when they are called.
TORCH_TYPES := --no-warn-return-any

.PHONY: help venv browser node demo test sweep lint format compat networks bench bench-peers bench-int8 bench-web kernels scripts clean

help: ## say what each command does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /make \1\t/' | expand -t 18

venv: $(VENV_STAMP) .typecheck/triport ## make .venv with everything that developing needs

$(VENV_STAMP): | need-python
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (once; a few minutes)"
	@$(PIP_INSTALL) --upgrade pip > .venv/install.log 2>&1 || { tail -n 30 .venv/install.log >&2; exit 1; }
	@$(PIP_INSTALL) -r requirements-dev.txt > .venv/install.log 2>&1 || { tail -n 30 .venv/install.log >&2; exit 1; }
	@rm -f .venv/.installed-* && touch $@

.PHONY: need-python
need-python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install python3 and python3-venv, or set PYTHON=/path/to/it" >&2; exit 1; }

# The root is the package, under whatever name the checkout's folder has; type checkers look for it under this one.
.typecheck/triport:
	@mkdir -p .typecheck && ln -sfn .. .typecheck/triport

browser: ## find Chrome, Chromium or Edge; install Debian's chromium where that can be done
	@$(FIND_CHROME); \
	if [ -z "$$p" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium"; \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } >/dev/null || true; \
	    $(FIND_CHROME); \
	fi; \
	if [ -z "$$p" ]; then \
	    echo "no browser: install chromium (apt-get install chromium), Google Chrome or Edge, or set CHROME=/path/to/it" >&2; exit 1; \
	fi

# Bundles run from Node 18 on; Vite, which builds pages with them in a test, wants a newer one.
node: ## look for Node 20.19 or newer, and npm
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' \
	    2>/dev/null && command -v npm >/dev/null || { \
	    echo "Node 20.19 or newer and npm are needed (https://nodejs.org); found Node $$(node --version 2>/dev/null || echo nowhere)" \
	        "and npm $$(npm --version 2>/dev/null || echo nowhere)" >&2; exit 1; }

# The network is tiny: a second thread brings nothing, and on a busy machine waiting for it costs minutes.
demo: venv ## train on scanned digits, export to three ports, compare them all
	@$(MAKE) --no-print-directory browser || echo "going on without a browser: the table will say 'not verified'" >&2
	@OMP_NUM_THREADS=1 .venv/bin/python examples/digits_demo.py

test: venv browser node lint ## lint, types, and the tests on every runtime
	@OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile -q $(PYTEST_ARGS)

sweep: venv ## every sample of torch's own on every port; brings docs/torch-coverage.md up to date (half an hour)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests .venv/bin/python -m sweep.run $(SWEEP_ARGS)

# mypy takes its own folder for a place to import from, and in the root that would make a second, flat `targets`.
lint: venv ## ruff and mypy --strict
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@MYPYPATH=.typecheck $(MYPY) -p triport
	@cd tests && MYPYPATH=../.typecheck:.:../examples:../examples/networks:../benchmarks ../$(MYPY) --config-file ../pyproject.toml \
	    --cache-dir ../.mypy_cache --explicit-package-bases $(TORCH_TYPES) . ../examples ../benchmarks

format: venv ## rewrite the sources as ruff likes them
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

compat: venv $(COMPAT_STAMP) ## run the artefacts on the runtimes of old devices
	@rm -rf $(COMPAT_DIR)
	@OMP_NUM_THREADS=1 PYTHONPATH=tests:examples .venv/bin/python -m compat.make_artefacts $(COMPAT_DIR)
	@OMP_NUM_THREADS=1 .venv-compat/bin/python tests/compat/run.py $(COMPAT_DIR)

$(COMPAT_STAMP):
	@test -n "$(PYTHON311)" || { echo "Python 3.11 is needed for the old runtimes: install it, or set PYTHON311=/path/to/it" >&2; exit 1; }
	@rm -rf .venv-compat && $(PYTHON311) -m venv .venv-compat
	@.venv-compat/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-compat.txt \
	    > .venv-compat/install.log 2>&1 || { tail -n 30 .venv-compat/install.log >&2; exit 1; }
	@touch $@

# Their packages come without what they depend on (torchvision would bring another torch): requirements-networks.txt
# lists all of it, and the rest is taken from .venv. An editable install is not found through another environment's path,
# so that triport itself is named beside it.
networks: venv browser $(NETWORKS_STAMP) ## networks that others made, on every port (transformers, timm and their like)
	@OMP_NUM_THREADS=1 .venv-networks/bin/python examples/networks/run.py $(NETWORKS_ARGS)
	@OMP_NUM_THREADS=1 .venv-networks/bin/python examples/networks/silero_stream.py

$(NETWORKS_STAMP): | $(VENV_STAMP)
	@rm -rf .venv-networks && .venv/bin/python -m venv .venv-networks
	@.venv/bin/python -c 'import os, sysconfig; print(sysconfig.get_path("purelib"), os.path.abspath(".typecheck"), sep="\n")' \
	    > "$$(.venv-networks/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/developing.pth"
	@.venv-networks/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements-networks.txt \
	    > .venv-networks/install.log 2>&1 || { tail -n 30 .venv-networks/install.log >&2; exit 1; }
	@touch $@

bench: venv browser ## print every figure of docs/benchmarks.md anew, those of bench-int8 and bench-web apart
	@for script in $(filter-out benchmarks/bench_int8.py benchmarks/bench_web.py,$(wildcard benchmarks/bench_*.py)); do echo "== $$script"; .venv/bin/python "$$script"; done

bench-peers: venv $(PEERS_STAMP) ## compare the speed of our files with that of other converters' (4 GB, 10 minutes)
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_peers.py --docs

# One environment each: they pin what the other needs in another version.
$(PEERS_STAMP):
	@test -n "$(PYTHON311)" || { echo "Python 3.11 is needed for the peers: install it, or set PYTHON311=/path/to/it" >&2; exit 1; }
	@rm -rf .venv-peers && mkdir -p .venv-peers
	@for peer in torch:requirements-peers.txt onnx2tf:requirements-onnx2tf.txt; do \
	    env=.venv-peers/$${peer%%:*}; $(PYTHON311) -m venv $$env; echo "installing $${peer#*:} into $$env (once)"; \
	    $$env/bin/python -m pip install --quiet --disable-pip-version-check -r $${peer#*:} > $$env.log 2>&1 || \
	        { tail -n 30 $$env.log >&2; rm -rf $$env; echo "$${peer#*:}: not to be had here; compared without it" >&2; }; \
	done
	@touch $@

bench-web: venv browser $(NPM_BENCH_STAMP) ## compare our browser bundles with onnxruntime-web, LiteRT.js and TF.js (300 MB, 20 minutes)
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_web.py --docs

$(NPM_BENCH_STAMP):
	@command -v npm >/dev/null || { echo "npm is needed for the other runtimes: install nodejs and npm" >&2; exit 1; }
	@rm -rf .npm-bench && mkdir -p .npm-bench && cp benchmarks/web_peers/package.json .npm-bench/
	@npm install --prefix .npm-bench --no-package-lock --no-audit --no-fund --loglevel=error > .npm-bench/install.log 2>&1 || \
	    { tail -n 30 .npm-bench/install.log >&2; exit 1; }
	@touch $@

bench-int8: venv browser ## train small networks, quantize them and compare every port's integers (at first half an hour)
	@ls /usr/share/datasets/fashion-mnist/*.gz >/dev/null 2>&1 && command -v espeak-ng >/dev/null || { \
	    [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing dataset-fashion-mnist and espeak-ng" && \
	    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	        dataset-fashion-mnist espeak-ng; } >/dev/null; \
	} || echo "without Fashion-MNIST or keywords: apt-get install dataset-fashion-mnist espeak-ng" >&2
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/int8_networks.py
	@OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_int8.py --docs

kernels: venv ## compile the browser kernels anew
	@.venv/bin/python targets/web/kernels/build.py

scripts: venv node ## make index.js and index.iife.js of the browser small anew
	@.venv/bin/python -m triport.targets.web.minify

clean: ## remove what the commands made, the virtual environments too
	@rm -rf .venv .venv-compat .venv-networks .venv-peers .npm-bench .typecheck build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
