"""The linear model as a linear layer of a neural network, fitted by gradients.

The layer holds G fixed, as well as the bias b, and learns W alone, without activation:
Y = G W Pᵀ + b 1ᵀ. Its loss is the sum of squares that the other solvers minimise in closed form;
this one shows that nothing else is learned. PyTorch is optional, and imported where it is needed.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from lgem.errors import InputError

# Conjugate gradients take as many steps as there are weights, but for rounding.
STEPS_PER_WEIGHT, LEAST_STEPS = 50, 2_000
# The descent ends where the gradient is this many times its rounding. Where it does not get there,
# it may end so many times above.
ENOUGH, SLACK = 10.0, 100.0


def gradient(
    R: np.ndarray, G: np.ndarray, P: np.ndarray, penalty: float = 0.0, device: str = "cpu"
) -> np.ndarray:
    """Return the W that minimises ‖R − G W Pᵀ‖², found by gradients; what `pinv` gives.

    The weights start at 0 and every gradient lies in the row spaces of the embeddings, and so
    does W: where ranks are short, it is the solution of minimum norm. The penalty is not used.

    Parameters
    ----------
    R, G, P
        Residual Y − b1ᵀ (genes × perturbations), gene embedding (genes × d) and perturbation
        embedding (perturbations × e).
    device
        Where PyTorch computes. Only the processor has been tried.

    Raises
    ------
    InputError
        Where PyTorch is not installed, or the descent does not arrive.
    """
    torch = _pytorch()
    R, G, P = (torch.tensor(A, dtype=torch.float64, device=device) for A in (R, G, P))
    # R is the data without b: nothing is left for the bias of the layer.
    layer = linear_layer(G, torch.zeros(len(G), dtype=G.dtype, device=device), P.shape[1])
    fit(layer, R, P)
    return np.asarray(layer.W.detach().cpu().numpy())


def linear_layer(G: Any, bias: Any, dimensions: int) -> Any:
    """Return the layer P → G W Pᵀ + b 1ᵀ, with the trainable weights W (d × e) at 0.

    Parameters
    ----------
    G, bias
        Tensors: gene embedding (genes × d) and b (genes,); both stay as they are.
    dimensions
        e, the columns of the perturbation embeddings that the layer will be given.
    """
    torch = _pytorch()
    module: Any = torch.nn.Module

    class LinearExpression(module):
        """A linear layer with the weight matrix M = G W, of which only W is learned."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("G", G)
            self.register_buffer("bias", bias)
            self.W = torch.nn.Parameter(G.new_zeros(G.shape[1], dimensions))

        def forward(self, P: Any) -> Any:
            return torch.nn.functional.linear(P, self.G @ self.W, self.bias).T

    return LinearExpression()


def fit(layer: Any, Y: Any, P: Any) -> int:
    """Fit the weights of a layer to Y (genes × perturbations); return the number of steps.

    Conjugate gradients: every step goes to the minimum along its direction, which a quadratic
    loss gives without a search. A search by values of the loss (L-BFGS) ends earlier: with a
    condition of 1,000 the loss is flat to its last digit while the weights are still wrong in the
    seventh.

    Raises
    ------
    InputError
        Where the gradient does not come down to its rounding.
    """
    torch = _pytorch()
    W, G = layer.W, layer.G
    norm = torch.linalg.norm
    unit = torch.finfo(Y.dtype).eps * norm(G) * norm(P)
    height = norm(Y - layer.bias[:, None])
    limit = max(LEAST_STEPS, STEPS_PER_WEIGHT * W.numel())
    best, least, rounding = W.detach().clone(), np.inf, 0.0
    # Whatever stands for the slope before the first: nothing is kept of a direction of nought.
    direction, previous = torch.zeros_like(W), torch.ones_like(W)
    steps = 0
    while True:
        loss = ((Y - layer(P)) ** 2).sum() / 2
        (slope,) = torch.autograd.grad(loss, W)
        if float(norm(slope)) < least:
            best, least = W.detach().clone(), float(norm(slope))
            # What the products of the gradient, Gᵀ (Y − b1ᵀ − (G W) Pᵀ) P, lose at this W.
            rounding = float(unit * (height + norm(G @ best) * norm(P)))
        if least <= ENOUGH * rounding or steps == limit:
            break
        direction, previous = _conjugate(slope, previous, direction), slope
        with torch.no_grad():
            curvature = ((G @ direction @ P.T) ** 2).sum()
            W -= (slope * direction).sum() / curvature * direction
        steps += 1
    with torch.no_grad():
        W.copy_(best)
    if least > SLACK * rounding:
        raise InputError(
            "models: solver gradient",
            f"a gradient {least / rounding:.1e} times its rounding after {limit:,} steps",
            "embeddings whose dimensions are less alike, or solver pinv, which needs no steps",
        )
    return steps


def _conjugate(slope: Any, previous: Any, direction: Any) -> Any:
    """Return the direction of descent that undoes nothing of the last one.

    The formula of Polak and Ribière, not below 0: it starts afresh where rounding takes over.
    """
    kept = float((slope * (slope - previous)).sum() / (previous**2).sum())
    return max(kept, 0.0) * direction - slope


def _pytorch() -> Any:
    """Import PyTorch, or say how to get it."""
    try:
        return import_module("torch")
    except ModuleNotFoundError:
        raise InputError(
            "models: solver gradient", "no PyTorch", "pip install lgem[gradient], or --sdm conda"
        ) from None
