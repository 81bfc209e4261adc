"""Linear gene expression models and updatable gene networks for perturbation screens.

The numeric core of the lgem workflow. It knows nothing of Snakemake and imports nothing heavy:
take what you need from its wings `lgem.screen`, `lgem.prediction`, `lgem.network` and
`lgem.figures`.
"""

__version__ = "0.1.0"
