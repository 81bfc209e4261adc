"""What would happen: splits, embeddings, models, baselines and metrics."""
