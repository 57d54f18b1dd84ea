# What every Makefile that `sam build` calls has in common. SAM runs them in a copy of the source folder, but names
# the Makefile by its real path: that is how the repository is found.
ROOT := $(abspath $(dir $(realpath $(lastword $(MAKEFILE_LIST))))/../..)
PYTHON := $(ROOT)/.venv/bin/python
SELFHEAL_BUILD := PYTHONPATH="$(ROOT)/layers/build" PYTHONDONTWRITEBYTECODE=1 "$(PYTHON)" -m selfheal_build

ifeq ($(wildcard $(PYTHON)),)
$(error there is no .venv in $(ROOT): run `make setup` first)
endif
