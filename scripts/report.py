"""Write the page that shows the results of a dataset."""

from pathlib import Path
from typing import TYPE_CHECKING

from lgem.files import write_text
from lgem.report.answers import Scoring
from lgem.report.page import render
from scripts.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

with job(snakemake):
    folder = Path(snakemake.input.config).parent
    paths = map(Path, [*snakemake.input.results, snakemake.input.config])
    files = {path.relative_to(folder).as_posix(): path for path in paths}
    scoring = Scoring(**snakemake.params.scoring)
    page = render(files, snakemake.wildcards.dataset, snakemake.params.settings, scoring)
    write_text(page, snakemake.output[0])
