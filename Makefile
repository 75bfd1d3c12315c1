# Every target makes the environment (.venv) by itself; `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
# Set with := so that a variable of the same name in your shell is not taken for one of these.
DATA := two_spiral
METHOD :=
RUN :=
RUNS :=
INPUT :=
MASK :=
VERSUS :=
OUT :=
N :=
SEED :=
REFINE :=
SAMPLER :=
GIVEN :=
CLASS :=
TRAIN :=
SCORE :=
RATE :=
ARGS :=
STUDY :=
SWEEP :=
SWEEP_ID :=
GPUS :=
LOCAL :=
N_TRIALS :=
JOBS :=
FOLDER :=
PORT :=
ONLINE :=
ONLY :=
PROJECT :=
PY := .venv/bin/python

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.venv/.made: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; sys.version_info >= (3, 11) or sys.exit(f"error: Python 3.11 or later is needed, $(PYTHON) is {v}: make PYTHON=/path/to/python3.11")'
	@test -x $(PY) || { echo "Making the environment in .venv (a minute or two the first time)"; $(PYTHON) -m venv .venv; }
	@test -x .venv/bin/uv || $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@.venv/bin/uv pip install --compile-bytecode --python $(PY) --constraint constraints.txt --editable '.[dev,images,sweeps,dashboards]'
	@touch $@

.PHONY: train
train: .venv/.made ## Train, measure and draw: DATA=two_spiral METHOD=(the best for it) ARGS='seed=1 …'
	@$(PY) -m energy_gan.cli.train data=$(DATA) $(if $(METHOD),method=$(METHOD)) $(ARGS)

.PHONY: resume
resume: .venv/.made ## Go on with a run that was cut short: RUN=runs/… ARGS='trainer.max_steps=…'
	@$(PY) -m energy_gan.cli.resume $(RUN) $(ARGS)

.PHONY: evaluate
evaluate: .venv/.made ## Measure and draw a run anew: RUN=runs/…
	@$(PY) -m energy_gan.cli.evaluate $(RUN) $(ARGS)

.PHONY: sample
sample: .venv/.made ## Draw samples: RUN=runs/… N=1000 OUT=samples.csv (images: .png, a folder; text: .txt) SEED=0 REFINE=(MALA steps) GIVEN='age=40 city=Oslo' CLASS=(a class's name) SAMPLER=(mala, hmc, langevin: in latent space)
	@$(PY) -m energy_gan.cli.sample $(RUN) $(if $(N),--n $(N)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED)) $(if $(REFINE),--refine $(REFINE)) $(if $(SAMPLER),--sampler $(SAMPLER)) $(if $(GIVEN),--given $(GIVEN)) $(if $(CLASS),--class $(CLASS)) $(ARGS)

.PHONY: chains
chains: .venv/.made ## Do chains in latent space make better samples? RUN=runs/… SAMPLER=mala N=10000 ARGS='--temperature 1 0.3 --steps 50'
	@$(PY) -m energy_gan.cli.chains $(RUN) $(if $(SAMPLER),--sampler $(SAMPLER)) $(if $(N),--n $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: interpolate
interpolate: .venv/.made ## Figure 3, from sample to sample: RUN=runs/… INPUT=(two images, a folder; text: sentences, two a path) OUT=interpolation.png (text: .txt) SEED=0 ARGS='--rows 8 --columns 9'
	@$(PY) -m energy_gan.cli.interpolate $(RUN) $(if $(INPUT),--input $(INPUT)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: reconstruct
reconstruct: .venv/.made ## Images or sentences from the latents that the run finds for them: RUN=runs/… INPUT=(held-out data; a folder, an image, a text) N=64 OUT=reconstruction.png ARGS='--free'
	@$(PY) -m energy_gan.cli.reconstruct $(RUN) $(if $(INPUT),--input $(INPUT)) $(if $(N),--n $(N)) $(if $(OUT),--out $(OUT)) $(ARGS)

.PHONY: inpaint
inpaint: .venv/.made ## Fill in hidden pixels, a run of METHOD=multigrid: RUN=runs/… INPUT=(held-out; a folder, an image) MASK=block, doodle, pepper or a picture, N=64 OUT=inpainting.png
	@$(PY) -m energy_gan.cli.inpaint $(RUN) $(if $(INPUT),--input $(INPUT)) $(if $(MASK),--mask $(MASK)) $(if $(N),--n $(N)) $(if $(OUT),--out $(OUT)) $(ARGS)

.PHONY: data
data: .venv/.made ## Decode the images of a set once: DATA=celeba ARGS='data.root=…'; `make train` does it by itself
	@$(PY) -m energy_gan.cli.data data=$(DATA) $(ARGS)

.PHONY: features
features: .venv/.made ## Train the classifier that measures images of a labelled set: DATA=mnist
	@$(PY) -m energy_gan.cli.features data=$(DATA) $(ARGS)

.PHONY: detect
detect: .venv/.made ## Find anomalies: TRAIN=normal.csv (a folder of images, or RUN=runs/…) SCORE=new.csv (a folder) RATE=0.01 OUT=scores.csv
	@$(PY) -m energy_gan.cli.detect $(if $(TRAIN),--train $(TRAIN)) $(if $(RUN),--run $(RUN)) $(if $(SCORE),--score $(SCORE)) $(if $(RATE),--rate $(RATE)) $(if $(OUT),--out $(OUT)) $(ARGS)

.PHONY: ood
ood: .venv/.made ## Does the energy tell other images from its own? RUN=runs/… VERSUS='kmnist omniglot noise … FOLDER' OUT=(ood.json in the run)
	@$(PY) -m energy_gan.cli.ood $(RUN) $(if $(VERSUS),--versus $(VERSUS)) $(if $(OUT),--out $(OUT)) $(ARGS)

.PHONY: energy
energy: .venv/.made ## Score points, images or sentences: RUN=runs/… INPUT=points.csv (images: a folder; a text) VERSUS=others.csv OUT=energies.csv
	@$(PY) -m energy_gan.cli.energy $(RUN) $(if $(INPUT),--input $(INPUT)) $(if $(VERSUS),--versus $(VERSUS)) $(if $(OUT),--out $(OUT))

.PHONY: classify
classify: .venv/.made ## Of what class? A run that learned classes: RUN=runs/… INPUT=points.csv (images: a folder; a text) OUT=classes.csv
	@$(PY) -m energy_gan.cli.classify $(RUN) $(if $(INPUT),--input $(INPUT)) $(if $(OUT),--out $(OUT)) $(ARGS)

.PHONY: compare
compare: .venv/.made ## A table and curves of several runs: RUNS='runs/… runs/…' OUT=(runs/compare/…png)
	@$(PY) -m energy_gan.cli.compare $(RUNS) $(if $(OUT),--out $(OUT))

.PHONY: draw
draw: .venv/.made ## A table of points of a known law: DATA=thin_ridges N=1000 OUT=points.npy SEED=0
	@$(PY) -m energy_gan.cli.draw data=$(DATA) $(if $(N),--n $(N)) $(if $(OUT),--out $(OUT)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: study
study: .venv/.made ## Trials, their numbers, a page of docs/: STUDY=two_dimensions (images, entropies, chains, scaling, kddcup, held_out_digit, few_labels, symbols, multigrid, hypernetwork, family) ARGS='--methods … --seeds …'
	@$(PY) -m energy_gan.cli.study $(STUDY) $(ARGS)

.PHONY: sweep
sweep: .venv/.made ## Search over settings: SWEEP=two_spiral_entropy (a file in sweeps/) LOCAL=1 (no account needed) N_TRIALS= JOBS=2 FOLDER=
	@$(PY) -m energy_gan.cli.sweep $(SWEEP) $(if $(LOCAL),--local) $(if $(N_TRIALS),--n-trials $(N_TRIALS)) $(if $(JOBS),--jobs $(JOBS)) $(if $(FOLDER),--folder $(FOLDER)) $(ARGS)

.PHONY: agent
agent: .venv/.made ## Join a sweep of W&B from this machine: SWEEP_ID=entity/project/id GPUS=0,1
	@$(PY) -m energy_gan.cli.agent $(SWEEP_ID) $(if $(GPUS),--gpus $(GPUS)) $(ARGS)

.PHONY: dashboard
dashboard: .venv/.made ## Watch runs: TensorBoard over FOLDER=runs PORT=6006; ONLINE=1 [PROJECT=entity/project]: W&B's workspace and report
	@$(PY) -m energy_gan.cli.dashboard $(if $(ONLINE),--online) $(if $(PROJECT),--project $(PROJECT)) $(if $(FOLDER),--folder $(FOLDER)) $(if $(PORT),--port $(PORT)) $(ARGS)

.PHONY: config
config: .venv/.made ## Print the composed config that `make train` would run
	@$(PY) -m energy_gan.cli.train --config data=$(DATA) $(if $(METHOD),method=$(METHOD)) $(ARGS)

.PHONY: test
test: .venv/.made ## The tests, under 5 minutes on 2 cores; what each room took stands beside its budget
	@$(PY) -m pytest --numprocesses 2 --dist worksteal -m 'not slow' $(ARGS)

.PHONY: test-slow
test-slow: .venv/.made ## The others: whole commands, two processes, a real W&B agent; 12 minutes
	@$(PY) -m pytest --numprocesses 2 --dist worksteal -m slow $(ARGS)

.PHONY: bench
bench: .venv/.made ## How fast it is, beside a loop by hand and the machine's peak: ONLY='step loop' (all) ARGS='--rounds 5 --page'
	@$(PY) tests/benchmarks/bench.py $(if $(ONLY),--only $(ONLY)) $(ARGS)

.PHONY: bench-ddp
bench-ddp: .venv/.made ## The step on two processes beside Lightning's own way: ARGS='--devices 2 --accelerator cpu'
	@$(PY) tests/benchmarks/ddp.py $(ARGS)

.PHONY: faults
faults: .venv/.made ## Kills, full disks, damaged files, planted divergence, made-up commands; minutes: ARGS='kills files …'
	@$(PY) tests/faults/bench.py $(ARGS)

.PHONY: lint
lint: .venv/.made ## Style and names
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

.PHONY: clean
clean: ## Remove the environment and caches; runs stay
	rm -rf .venv .pytest_cache .ruff_cache dist *.egg-info
