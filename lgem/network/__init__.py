"""Who acts on whom: covariance, precision, updates, edges and reference networks."""
