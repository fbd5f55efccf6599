"""What stands beside the code agrees with it: versions, requirements, and what the workflow runs."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
import yaml
from conftest import REPOSITORY

import deepcr_lightning

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ON_CONDA = {"torch": "pytorch", "matplotlib": "matplotlib-base", "pyyaml": "pyyaml"}


def recipe() -> dict:
    """The conda recipe with its few variables filled in."""
    text = (REPOSITORY / "conda" / "meta.yaml").read_text()
    values = dict(re.findall(r'{% set (\w+) = "(.*)" %}', text))
    text = re.sub(r"{% .* %}\n", "", text)
    return yaml.safe_load(re.sub(r"{{ (\w+) }}", lambda match: values.get(match[1], match[1]), text))


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    versions = {
        "CITATION.cff": citation["version"],
        "codemeta.json": json.loads((REPOSITORY / "codemeta.json").read_text())["version"],
        ".zenodo.json": json.loads((REPOSITORY / ".zenodo.json").read_text())["version"],
        "conda/meta.yaml": recipe()["package"]["version"],
    }
    assert {name: str(version) for name, version in versions.items()} == dict.fromkeys(
        versions, deepcr_lightning.__version__
    )
    assert f"## {deepcr_lightning.__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()


def test_the_authors_are_the_same_everywhere() -> None:
    [author] = PROJECT["authors"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    codemeta = json.loads((REPOSITORY / "codemeta.json").read_text())
    zenodo = json.loads((REPOSITORY / ".zenodo.json").read_text())
    assert citation["authors"] == zenodo["creators"] == [author]
    assert [{"name": person["name"]} for person in codemeta["author"]] == [author]
    assert author["name"] in (REPOSITORY / "LICENSE").read_text()


def test_the_recipe_asks_for_what_the_package_does() -> None:
    wanted = {}
    for line in PROJECT["dependencies"]:
        name, bounds = re.fullmatch(r"([\w.-]+)(.*)", line).groups()
        wanted[ON_CONDA.get(name.lower(), name.lower())] = bounds
    wanted["python"] = PROJECT["requires-python"]
    asked = dict(line.split(" ", 1) for line in recipe()["requirements"]["run"])
    assert asked == wanted


def test_the_workflow_runs_what_every_change_must_pass() -> None:
    jobs = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    commands = {step["run"] for job in jobs.values() for step in job["steps"] if "run" in step}
    assert {".ci/run", "make docs", "python -m build"} <= commands
    tested = jobs["test"]["strategy"]["matrix"]["python"]
    assert [f"Programming Language :: Python :: {version}" for version in tested] == [
        line for line in PROJECT["classifiers"] if "Python :: 3." in line
    ]


@pytest.mark.parametrize("name", ["fault", "camera", "wish"])
def test_issue_templates_have_what_github_asks_for(name: str) -> None:
    form = yaml.safe_load((REPOSITORY / ".github" / "ISSUE_TEMPLATE" / f"{name}.yml").read_text())
    assert {"name", "description", "body"} <= set(form)
    for field in form["body"]:
        assert field["type"] in ("textarea", "input")
        assert field["attributes"]["label"]
        assert re.fullmatch(r"[\w-]+", field["id"])
