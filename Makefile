# make demo   environment, simulated exposures, training, cleaned images, scores
# make universal   the model that comes with the package: simulate cameras, train, write it, score it on real images (two hours on two cores)
# make universal-real   the same from real exposures of the archive and darks near them (needs a network, 50 GB and hours)
# make inpaint   the network that fills cosmic rays: simulate, train, compare it with other ways
# make filler   the network that fills which comes with the package, on exposures of make universal
# make thresholds   the study of docs/studies/star_counts.md: simulated fields, star counts at each threshold, figures (minutes)
# make test   environment, lint, types, tests
# make docs   the site, in docs/_build/html; a warning is an error
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
UNIVERSAL := outputs/universal
UNIVERSAL_REAL := outputs/universal_real
INPAINT := outputs/inpaint
FILLER := outputs/filler
THRESHOLDS := outputs/thresholds
SHIPPED := deepcr_lightning/models
.PHONY: demo universal universal-real inpaint filler thresholds test lint docs clean
.DEFAULT_GOAL := demo

# The stamp says that what pyproject.toml and constraints.txt ask for is installed.
$(VENV)/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
	  || { echo "Python 3.11 to 3.13 is needed; name one with: make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV): a minute or more, PyTorch is large"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/installed
	@$(BIN)/deepcr-lightning demo

universal: $(VENV)/installed
	@PYTHON=$(BIN)/python benchmarks/train_universal.sh $(UNIVERSAL)
	@cp $(UNIVERSAL)/universal.ckpt $(UNIVERSAL)/universal-hst.ckpt $(SHIPPED)

universal-real: $(VENV)/installed
	@PYTHON=$(BIN)/python benchmarks/train_universal_real.sh $(UNIVERSAL_REAL)
	@$(BIN)/python benchmarks/real_sky.py $(UNIVERSAL_REAL)/universal_real.ckpt --json $(UNIVERSAL_REAL)/real_sky.json

inpaint: $(VENV)/installed
	@$(BIN)/deepcr-lightning simulate $(INPAINT)/train --filters F275W F336W F606W F814W \
	  --fields sparse cluster galaxy nebula --size 512 512 --chips 1 --exposures 192 --darks 24 --seed 11
	@$(BIN)/deepcr-lightning train experiment=inpaint data.science=$(INPAINT)/train/science data.darks=$(INPAINT)/train/darks \
	  data.test_fraction=0 hydra.run.dir=$(INPAINT)/run
	@$(BIN)/python benchmarks/inpaint.py $(INPAINT)/test --fill-ckpt-path $(INPAINT)/run/checkpoints/best.ckpt \
	  --picture docs/pictures/inpainting.png --json $(INPAINT)/scores.json
	@$(BIN)/python benchmarks/inpaint_tables.py $(INPAINT)/scores.json

filler: $(VENV)/installed
	@$(BIN)/deepcr-lightning train experiment=universal_filler "data.science='$(UNIVERSAL)/train/*_[123]/science/*.fits'" \
	  "data.darks='$(UNIVERSAL)/train/*_[123]/darks/*.fits'" data.test_fraction=0 hydra.run.dir=$(FILLER)
	@$(BIN)/deepcr-lightning export $(FILLER)/checkpoints/best.ckpt $(SHIPPED)/filler.ckpt
	@$(BIN)/python benchmarks/fill_real.py --fill-ckpt-path $(SHIPPED)/filler.ckpt --json $(FILLER)/fill_real.json

thresholds: $(VENV)/installed
	@$(BIN)/deepcr-lightning simulate $(THRESHOLDS)/simulated --filters F475W F814W --fields galaxy \
	  --exposures 9 --dithers 3 --darks 1 --size 512 512 --chips 1 --seed 11
	@$(BIN)/deepcr-lightning threshold input=$(THRESHOLDS)/simulated/science truth=$(THRESHOLDS)/simulated \
	  darks=$(THRESHOLDS)/simulated/darks 'thresholds=[0.05,0.1,0.2,0.3,0.5,0.7,0.8,0.9,0.95,0.98,0.99]' \
	  'box=[[0.7,21.5],[1.9,21.5],[1.9,25],[0.7,25]]' output_dir=$(THRESHOLDS)/study

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

docs: $(VENV)/installed
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --builder html docs docs/_build/html
	@echo "Site                  docs/_build/html/index.html"

clean:
	rm -rf $(VENV) outputs docs/_build
