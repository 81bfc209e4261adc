"""What the rules ask a cluster for."""

from __future__ import annotations

import re

from tests.workflow.running import ROOT

RULES = "\n".join(path.read_text("utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
BODIES = {
    match[1]: match[0] for match in re.finditer(r"^rule (\w+):\n(?:\n|[ ]+.*\n)*", RULES, re.M)
}
SCRIPTS = {name for name, body in BODIES.items() if "script:" in body}


def test_every_rule_that_does_work_is_found():
    assert len(SCRIPTS) == RULES.count("script:") > 30


def test_every_job_asks_for_memory_that_grows_with_its_input_and_its_attempts():
    local = {name for name, body in BODIES.items() if "localrule: True" in body}
    asks = {name for name in SCRIPTS if re.search(r"mem_mb=memory\(\d+, [\d.]+\),", BODIES[name])}
    assert asks - local == SCRIPTS - local
