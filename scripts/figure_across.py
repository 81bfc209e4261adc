"""Draw one figure for all datasets that the config names, from the tables of their own figures."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.across_doubles import all_doubles
from lgem.figures.across_errors import all_swaps, errors_by_genes, held_out_errors
from lgem.figures.style import save
from lgem.files import read_table
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

DRAW = {
    "held_out_error": held_out_errors,
    "error_by_genes": errors_by_genes,
    "embedding_swaps": all_swaps,
    "doubles": all_doubles,
}

with job(snakemake):
    names = snakemake.params.datasets
    tables = map(read_table, snakemake.input)
    figure, drawn = DRAW[snakemake.wildcards.figure](
        dict(zip(names, tables, strict=True)),
        snakemake.params.units,
        missing=snakemake.params.missing,
        **snakemake.params.options,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
