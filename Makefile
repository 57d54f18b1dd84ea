# Everything runs from .venv, which `make setup` makes; everything temporary is under .local/.
# `make` alone lists the targets.

# The interpreter that .venv is made from: the one it has, unless another is asked for.
ifeq ($(origin PYTHON),undefined)
PYTHON := $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
endif
PORT ?= 4566
EVENT ?=
ARGS ?=
KEEP ?=

BIN := .venv/bin
BUILD := PYTHONPATH=layers/build $(BIN)/python -m selfheal_build
LOCAL := PYTHONPATH=layers/build $(BIN)/python -m local
REPLAY := PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m local.replay
PAGES := PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.pages
TYPED := $(wildcard layers/selfheal/selfheal layers/build/selfheal_build functions local tests)

export SAM_CLI_TELEMETRY := 0
# SAM keeps its own notes (a machine id, the last version seen) in the home folder unless told otherwise.
export __SAM_CLI_APP_DIR := $(CURDIR)/.local/sam

.DEFAULT_GOAL := help
.PHONY: help setup build test bench check compare explain new-runbook format validate docs demo up down invoke ui screenshots replay pause resume scorecard incidents incident report procedure deploy doctor uninstall drill alarms clean lock
.SILENT:

help: ## List the targets
	awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	echo "variables:"
	echo "  PYTHON=python3.13  the interpreter to make .venv from (3.11 or later; now: $(PYTHON))"
	echo "  PORT=4566          where the local stack listens on 127.0.0.1 (up, demo, invoke)"
	echo "  PORT_UI=4580       where the control room listens on 127.0.0.1 (ui)"
	echo "  CHROME=/path       the browser that takes the pictures, if it is not in PATH (screenshots)"
	echo "  KEEP=1             leave the local stack up after the demo"
	echo "  FN=… EVENT=…       what to invoke and with which file (default: events/<the folder of FN>.json)"
	echo "  WHAT=risky SYSTEM=* MINUTES=60 REASON=… WHO=…  what is paused, for how long, why and by whom (pause, resume)"
	echo "  ID=… INCIDENT=…    which incident (incident, report)"
	echo "  SYSTEM=… NAME=…  whose procedure, and which (procedure)"
	echo "  SYSTEMS=all        which further demo systems come up: all, or names with commas (up)"
	echo "  CONFIG_ENV=dev     which stack of samconfig.toml (doctor, drill, uninstall)"
	echo "  FILE=… or DAYS=7 ALARM=…  what to replay: a file of alarm events, or the history of alarms"
	echo "  MODE=auto ASSUME=suggested OBSERVE=1 ON=local  replay under this MaxMode, with no step done, looking at resources"
	echo "                     as they are now, on the local stack"
	echo "  PREFIX=… OWNER=…   how the names of a system begin, if not like it, and who is told (new-runbook)"
	echo "  BASE=main          which commit's runbooks are compared with (compare)"
	echo "  ONE=drain          which figure is measured (bench)"
	echo "  ARGS=…             passed on: to pytest (test), sam (build, deploy), the program (demo, up, invoke, validate)"
	echo "  SELFHEAL_PYTHON313=…  a Python 3.13 that compiles the layers' bytecode (build, deploy)"
	echo "  SELFHEAL_LOCAL_BYTECODE=1  bytecode for the Python of .venv as well (build; for the local stack)"

setup: ## Make .venv from the pinned requirements; does nothing when it is up to date
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "error: $(PYTHON) does not run or is older than 3.11; name a newer one: make setup PYTHON=python3.12" >&2; exit 1; }
	PYTHONPATH=layers/build $(PYTHON) -m selfheal_build.environment .venv requirements/dev.txt

build: setup ## Build functions and layers with sam, and print the layers' sizes
	$(BUILD) build $(ARGS)

test: setup ## Run all tests: unit and project in parallel, then those on the local stack
ifeq ($(ARGS),)
	$(BIN)/pytest -q -n auto --maxprocesses 8 --dist worksteal $(wildcard tests/unit tests/project)
	$(if $(wildcard tests/local),$(BIN)/pytest -q tests/local)
else
	$(BIN)/pytest $(ARGS)
endif

bench: setup ## Measure speed and cost beside others: all figures, or ONE=drain; writes docs/benchmarks.md
	PYTHONPATH=.:layers/selfheal:layers/build $(BIN)/python -m tests.bench $(ONE)

check: setup ## Lint, format, types, docs, template, runbooks, build: all that is not a test
	$(BIN)/ruff check -q .
	$(BIN)/ruff format -q --check . || { echo "error: not formatted as agreed: run make format" >&2; exit 1; }
	echo "ruff: clean"
	$(BIN)/mypy $(TYPED)
	$(PAGES) check
	echo "docs: current"
	$(MAKE) --no-print-directory validate ARGS=
	$(BUILD) lint
	$(MAKE) --no-print-directory build ARGS=

format: setup ## Format the code and mend what ruff can mend
	$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

validate: setup ## Check the runbooks (all, or ARGS=files) against their schema and each other
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.runbooks validate $(ARGS)
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.runbooks schema --check
	echo "runbooks: valid"

explain: setup ## What would happen if this alarm went red, line by line: make explain ALARM=name [MODE=auto]
	$(if $(ALARM),,echo "error: which alarm? make explain ALARM=the-alchemiser-v2-dev-errors" >&2; exit 1)
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.runbooks explain "$(ALARM)" \
	  $(if $(MODE),--max-mode "$(MODE)") $(ARGS)

new-runbook: export PORT := $(PORT)
new-runbook: setup ## Draft a runbook of what is found: make new-runbook SYSTEM=shop [PREFIX=shop- OWNER=oncall ON=local]
	$(if $(SYSTEM),,echo "error: of which system? make new-runbook SYSTEM=my-system" >&2; exit 1)
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m local.new_runbook "$(SYSTEM)" \
	  $(if $(PREFIX),--prefix "$(PREFIX)") $(if $(OWNER),--owner "$(OWNER)") $(if $(filter local,$(ON)),--local) $(ARGS)

compare: setup ## Which decisions change with the runbooks? make compare BASE=main [FILE=history.json]; needs no account
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m local.compare $(if $(BASE),--base "$(BASE)") \
	  $(if $(FILE),--file "$(FILE)") $(ARGS)

docs: setup ## Write the generated parts of docs/, and the runbooks' JSON schema, anew
	$(PAGES) write
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.runbooks schema

demo up down invoke ui replay pause resume scorecard incidents incident report: export PORT := $(PORT)
demo up down invoke: export KEEP := $(KEEP)

demo: setup ## Break the demo systems on the local stack and watch them heal
	$(LOCAL).demo $(ARGS)

up: export SYSTEMS := $(if $(filter command line environment,$(origin SYSTEMS)),$(SYSTEMS))
up: setup ## Start the local stack and deploy to it (SYSTEMS=all: every demo system)
	$(LOCAL).up $(ARGS)

down: setup ## Stop the local stack
	$(LOCAL).down

invoke: setup ## Invoke one function on the local stack: make invoke FN=RollBackAlias
	$(if $(FN),,echo "error: which one? make invoke FN=RollBackAlias [EVENT=events/….json]" >&2; exit 1)
	$(LOCAL).invoke $(FN) $(EVENT) $(ARGS)

ui: export PORT_UI := $(PORT_UI)
ui: setup ## The control room of the local stack in a browser, with its buttons: http://127.0.0.1:4580
	$(LOCAL).ui

screenshots: setup ## Take the pictures of docs/pictures/ anew, with a Chromium, on a local stack of its own
	$(LOCAL).screenshots

replay: setup ## What would it have done? Alarm history, or FILE=…, through the same code; changes nothing
	$(REPLAY) $(if $(FILE),--file "$(FILE)") $(if $(DAYS),--days "$(DAYS)") $(if $(ALARM),--alarm "$(ALARM)") \
	  $(if $(MODE),--mode "$(MODE)") $(if $(ASSUME),--assume "$(ASSUME)") $(if $(OBSERVE),--observe) \
	  $(if $(filter local,$(ON)),--local) $(ARGS)

pause resume: export WHAT := $(WHAT)
pause resume: export SYSTEM := $(SYSTEM)
pause resume: export MINUTES := $(MINUTES)
pause resume: export REASON := $(REASON)
pause resume: export WHO := $(WHO)

pause: setup ## Pause selfheal on the local stack: make pause REASON=… [WHAT=risky|all SYSTEM=* MINUTES=60 WHO=you]
	$(LOCAL).pause pause

resume: setup ## End a pause on the local stack before its time: make resume [SYSTEM=*]
	$(LOCAL).pause resume

scorecard: setup ## What each response would have done on the local stack, and whether it was needed
	$(LOCAL).scorecard

incidents: setup ## List the open incidents of the local stack
	$(LOCAL).report list

incident: setup ## Show one incident of the local stack with its timeline: make incident ID=…
	$(LOCAL).report show $(ID)

report: setup ## Write the report of an incident of the local stack, Markdown and a page: make report INCIDENT=…
	$(LOCAL).report write $(INCIDENT)

procedure: setup ## Print what stays with a person: make procedure SYSTEM=… NAME=…; needs no stack
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m selfheal_build.runbooks procedure "$(SYSTEM)/$(NAME)" $(ARGS)

deploy: setup ## Build and deploy to AWS; without ARGS it asks for each parameter and explains it
	$(MAKE) --no-print-directory build ARGS=
	$(BIN)/sam deploy $(if $(ARGS)$(CI),,--guided) $(ARGS)
	echo "now: make doctor says what is still missing"

doctor uninstall: export PORT := $(PORT)
doctor uninstall: export CONFIG_ENV := $(CONFIG_ENV)

doctor: setup ## Is all there that selfheal needs, and what could it not do? Changes nothing: make doctor [CONFIG_ENV=dev ON=local]
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m local.doctor $(if $(filter local,$(ON)),--local)

uninstall: setup ## Remove the stack, but not while something is switched off because of it: make uninstall [CONFIG_ENV=dev]
	PYTHONPATH=layers/build:layers/selfheal $(BIN)/python -m local.uninstall $(if $(filter local,$(ON)),--local)

drill: setup ## Prove that the guards of a deployed stack guard; fails unless they do: make drill [CONFIG_ENV=dev]
	$(BIN)/sam remote invoke Drill --event-file events/drill.json $(if $(CONFIG_ENV),--config-env $(CONFIG_ENV)) $(ARGS) \
	  | PYTHONPATH=layers/build $(BIN)/python -m selfheal_build.drill

alarms: setup ## Deploy the alarm pack of a system to AWS: make alarms SYSTEM=my-system ARGS='Function=… Service=…'
	$(if $(SYSTEM),,echo "error: of which system? make alarms SYSTEM=my-system ARGS='Function=my-function'" >&2; exit 1)
	$(BIN)/sam deploy -t alarms.yaml --stack-name "$(SYSTEM)-alarms" --s3-prefix "$(SYSTEM)-alarms" \
	  --parameter-overrides System=$(SYSTEM) $(ARGS)

clean: ## Remove what was built and every cache; .venv and a running local stack stay
	rm -rf .aws-sam .local/cache .local/tmp .local/sam .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.local/*' -prune -exec rm -rf {} +

lock: setup ## Pin all requirements anew: newest versions, with hashes
	PYTHONPATH=layers/build $(BIN)/python -m selfheal_build.lock
