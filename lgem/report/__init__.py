"""The page that shows the results of a dataset: result files in, one self-contained page out."""
