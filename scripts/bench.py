"""Time the parts that were made to be fast, beside what they replace."""

import os
from typing import TYPE_CHECKING

import pandas as pd

from benchmarks import network, prediction
from benchmarks.timing import COLUMNS, measure
from lgem.files import read_table, write_table
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake) as log:
    rounds, rows = snakemake.params.rounds, []
    for work in (prediction.fit(), prediction.choice(), network.dense_update()):
        rows += measure(work, rounds)
    rows += network.whole_genome(rounds)
    for row in rows:
        against = f", {row['ratio']:.3g} x {row['against']}" if row["against"] else ""
        log.info("%s: %s %.3g s%s", row["work"], row["contender"], row["median_s"], against)
    table = pd.concat(
        [*map(read_table, snakemake.input.earlier), pd.DataFrame(rows, columns=COLUMNS)]
    )
    write_table(table, snakemake.output.table)
    speed = network.update_speed(network.SIZES, rounds)
    for genes, ratio in zip(speed["genes"], speed["speed_up"], strict=True):
        log.info("%d genes: an update is %.3g x as fast as an inverse", genes, ratio)
    write_table(speed, snakemake.output.updates)
    log.info("on %d cores, linear algebra on %d", os.cpu_count() or 1, snakemake.threads)
