# The five words of this project; CONTRIBUTING.md says when to use which.
.PHONY: dev check test test-all docs

dev:       # a virtual environment with everything the checks need
	python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[test]'

check:     # lint, format, types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

test:      # unit and contract tests, in parallel
	.venv/bin/pytest

test-all:  # everything, as CI runs it
	tests/run

docs:      # the generated parts of README.md and docs/
	.venv/bin/python docs/generate.py
