"""The cases: each measures in rounds and gives rows for the table."""

from __future__ import annotations

from bench.cases.ingest import ingest_end_to_end, ingest_vs_one_by_one
from bench.cases.memory import flat_memory
from bench.cases.pace import quota_fidelity, tenant_fairness
from bench.cases.reputation import reputation_page
from bench.cases.setting import Case as Case
from bench.cases.setting import Setting as Setting
from bench.cases.speed import send_ceiling, vs_node_shape, vs_small_app
from bench.cases.whole import whole_loop

CASES: dict[str, Case] = {
    "send_ceiling": send_ceiling,
    "vs_small_app": vs_small_app,
    "vs_node_shape": vs_node_shape,
    "quota_fidelity": quota_fidelity,
    "tenant_fairness": tenant_fairness,
    "flat_memory": flat_memory,
    "ingest_end_to_end": ingest_end_to_end,
    "ingest_vs_one_by_one": ingest_vs_one_by_one,
    "reputation_page": reputation_page,
    "whole_loop": whole_loop,
}
