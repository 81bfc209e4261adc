"""Draw the coverage of prediction intervals and the dynamic range of metrics."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.figures.calibration import calibration
from lgem.figures.style import save
from lgem.files import read_table
from lgem.prediction.calibration import FIXED_NEGATIVE, NEGATIVE
from lgem.provenance import provenance
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    figure, drawn = calibration(
        read_table(snakemake.input.summary),
        read_table(snakemake.input.metrics),
        negative=NEGATIVE,
        fixed_negative=FIXED_NEGATIVE,
        level=snakemake.params.interval,
        interval=snakemake.params.interval,
    )
    stem = Path(snakemake.output.pdf).with_suffix("")
    save(figure, drawn, stem, provenance(**snakemake.params.origin))
