"""What depends on what: digests of the core, and the one-way street of its imports."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import lgem
from lgem.provenance import core_digest, provenance, versions

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted((ROOT / "lgem").rglob("*.py"))
# What each wing may import of the project, besides itself.
FOUNDATIONS = {
    *(
        "lgem",
        "access",
        "designs",
        "errors",
        "explain",
        "files",
        "h5",
        "h5ad",
        "heads",
        "systems",
        "config",
        "config_dataset",
        "inputs",
        "layout",
        "progress",
        "settings",
        "shards",
        "texts",
        "urls",
    ),
    "provenance",
}
ALLOWED = {
    "screen": FOUNDATIONS,
    "prediction": FOUNDATIONS | {"screen"},
    "network": FOUNDATIONS,  # responses reach it as arrays: no other wing
    "look": FOUNDATIONS | {"screen"},  # a command for users, no part of the workflow
    "demands": FOUNDATIONS | {"screen", "prediction", "network"},  # asks all of them beforehand
    "figures": {"errors", "files"},  # tables in, pictures out
    "report": FOUNDATIONS | {"prediction", "figures"},  # of these: whom to compare, where genes lie
    **dict.fromkeys(FOUNDATIONS, FOUNDATIONS),
}


def part_of(path):
    """Return the wing or foundation that a module belongs to."""
    relative = path.relative_to(ROOT / "lgem")
    if relative.name == "__init__.py" and len(relative.parts) == 1:
        return "lgem"
    return relative.parts[0].removesuffix(".py")


def imported(path):
    """Return the modules that a file names in imports, wherever they stand in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import escapes the digests"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# The one-way street


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_imports_further_down_the_chain(path):
    mine = part_of(path)
    names = [name.split(".") for name in imported(path)]
    parts = {name[1] if len(name) > 1 else "lgem" for name in names if name[0] == "lgem"}
    # `from lgem import __version__` and the like name the package itself.
    parts = {name if (ROOT / "lgem" / name).is_dir() or name in FOUNDATIONS else "lgem"
             for name in parts}  # fmt: skip
    assert parts - {mine} <= ALLOWED[mine]


def test_every_part_of_the_core_has_its_place_on_the_street():
    assert {part_of(path) for path in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_core_knows_nothing_of_snakemake_and_scripts(path):
    assert {"snakemake", "scripts"}.isdisjoint(name.split(".")[0] for name in imported(path))


def test_the_core_imports_nothing_heavy():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in MODULES
        if part_of(path) != "figures"
    ]
    check = (
        f"import sys, importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "print(*sorted({'scanpy', 'torch', 'matplotlib', 'snakemake'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "lgem.screen.pseudobulk" in modules
    assert "lgem.prediction.model" in modules
    assert done.stdout.strip() == ""


# Digests


@pytest.fixture
def project(tmp_path):
    """A project where script.py imports a, a imports b.c lazily, and d stands alone."""
    (tmp_path / "core" / "b").mkdir(parents=True)
    (tmp_path / "core" / "__init__.py").write_text("")
    (tmp_path / "core" / "a.py").write_text("import numpy\ndef f():\n    from core.b import c\n")
    (tmp_path / "core" / "b" / "__init__.py").write_text("")
    (tmp_path / "core" / "b" / "c.py").write_text("import core.a\n")
    (tmp_path / "core" / "d.py").write_text("from core import a\n")
    (tmp_path / "script.py").write_text("from core.a import f\n")
    return tmp_path


@pytest.mark.parametrize(
    "changed", ["core/a.py", "core/b/c.py", "core/b/__init__.py", "core/__init__.py"]
)
def test_the_digest_changes_with_every_module_behind_a_script(project, changed):
    before = core_digest(project / "script.py", project)
    assert core_digest(project / "script.py", project) == before
    (project / changed).write_text((project / changed).read_text() + "\nx = 1\n")
    assert core_digest(project / "script.py", project) != before


def test_the_digest_does_not_change_with_what_the_script_does_not_import(project):
    before = core_digest(project / "script.py", project)
    (project / "core" / "d.py").write_text("x = 1\n")
    (project / "core" / "new.py").write_text("x = 1\n")
    # Snakemake sees an edit of the script itself.
    (project / "script.py").write_text("from core.a import f\nf()\n")
    assert core_digest(project / "script.py", project) == before


def test_imports_are_found_wherever_they_stand(project):
    source = """
if x:
    import core.n0
elif y:
    from core import n1
else:
    import numpy, core.n2 as n
for x in y:
    import core.n3
else:
    import core.n4
while x:
    import core.n5
try:
    import core.n6
except ValueError:
    import core.n7
else:
    import core.n8
finally:
    import core.n9
with x:
    import core.n10
class A:
    async def f(self):
        match x:
            case 1:
                import core.n11
"""
    (project / "script.py").write_text(source)
    digests = {core_digest(project / "script.py", project)}
    for number in range(12):
        (project / "core" / f"n{number}.py").write_text("")
        digests.add(core_digest(project / "script.py", project))
    assert len(digests) == 13


def test_the_digest_changes_when_a_module_moves(project):
    before = core_digest(project / "script.py", project)
    (project / "core" / "a").mkdir()
    (project / "core" / "a.py").rename(project / "core" / "a" / "__init__.py")
    assert core_digest(project / "script.py", project) != before


def test_an_edit_of_the_figures_reruns_no_fit(tmp_path):
    names = [
        "count_shard",
        "effects",
        "fit",
        "figure_on_target",
        "pseudobulk",
        "simulate",
        "report",
    ]
    templates = (ROOT / "lgem" / "report").glob("page.*")
    for path in [*MODULES, *templates, *(ROOT / "scripts").glob("*.py")]:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())

    def digests():
        return {name: core_digest(tmp_path / "scripts" / f"{name}.py", tmp_path) for name in names}

    before = digests()
    for module, concerned in [
        ("lgem/figures/style.py", {"figure_on_target"}),
        ("lgem/prediction/solvers.py", {"fit"}),
        ("lgem/prediction/gradient.py", {"fit"}),  # imported where it is needed
        ("lgem/screen/simulate.py", {"simulate"}),
        ("lgem/report/columns.py", {"report"}),
        ("lgem/report/page.html.j2", {"report"}),
        ("lgem/report/page.css", {"report"}),
        ("lgem/report/page.js", {"report"}),
    ]:
        path = tmp_path / module
        path.write_text(path.read_text("utf-8") + "\n# edited\n", "utf-8")
        after = digests()
        assert {name for name in names if after[name] != before[name]} == concerned
        before = after


# Provenance


def test_provenance_names_data_config_seed_and_versions():
    found = provenance("demo", "0123456789abcdef", 7)
    assert (found["dataset"], found["config_digest"], found["seed"]) == (
        "demo", "0123456789abcdef", 7,
    )  # fmt: skip
    assert found["versions"]["lgem"] == lgem.__version__
    assert found["versions"]["python"] == sys.version.split()[0]
    import numpy

    assert versions()["numpy"] == numpy.__version__
