"""What fitted mixed forms are for: codes of new samples, transforms, covariances, variance by part.

Every modality can be reached from every other through the code: `encode` finds K and H of samples
of which some blocks are known, `decode` gives all blocks back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from scipy import linalg

from lgem.errors import InputError, counted
from lgem.prediction.mixed_forms import Forms, Modalities
from lgem.systems import System, diagnose

MODALITIES = ("Y", "X", "Z")
FIXED, RANDOM, OVERLAP, RESIDUAL = "fixed", "random", "overlap", "residual"
PARTS = (FIXED, RANDOM, OVERLAP, RESIDUAL)


@dataclass(frozen=True)
class MixedForms:
    """Fitted forms in use.

    Parameters
    ----------
    forms
        Codes and loadings.
    penalty
        ρ that they were fitted with; what is encoded later pays it too.
    """

    forms: Forms
    penalty: float

    def encode(self, **blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes K and H (samples × k) of samples of which some blocks are known.

        Parameters
        ----------
        blocks
            ``Y``, ``X`` or ``Z`` (samples × features), at least one, for the same samples. What
            none of them tells is 0; Y alone tells K + H but not how it is shared out: half and
            half. Without random features in the fit H is 0.

        Raises
        ------
        InputError
            Where a block has another name, not as many features as the fit had, or not as many
            samples as the other blocks.
        """
        loaded = self._loadings()
        samples = _samples_of(blocks, {name: len(L) for name, L in loaded.items()})
        k = self.forms.K.shape[1]
        has_random = len(self.forms.u) > 0
        gram = self.penalty * np.eye(2 * k)
        right = np.zeros((samples, 2 * k))
        for name, block in blocks.items():
            L = loaded[name]
            both = np.hstack([L * (name != "Z"), L * (name != "X" and has_random)])
            gram += both.T @ both
            right += block @ both
        codes = linalg.solve(gram, right.T, assume_a="pos").T
        return codes[:, :k], codes[:, k:]

    def decode(self, K: np.ndarray, H: np.ndarray) -> dict[str, np.ndarray]:
        """Return Y, X and Z (samples × features) of codes (samples × k)."""
        codes = _codes(K, H)
        return {name: codes[name] @ L.T for name, L in self._loadings().items()}

    def transform(self, block: np.ndarray, source: str, target: str) -> np.ndarray:
        """Return a modality (samples × features) of samples of which another one is known."""
        return self.decode(*self.encode(**{source: block}))[target]

    def reconstruct(self) -> dict[str, np.ndarray]:
        """Return the blocks that were fitted, as the fit has them."""
        return self.decode(self.forms.K, self.forms.H)

    def loading_products(self) -> dict[str, np.ndarray]:
        """Return αᵀα, βᵀβ and uᵀu (each k × k): how much of each block an axis carries."""
        return {name: L.T @ L for name, L in self._loadings().items()}

    def implied_covariance(self, first: str, second: str) -> np.ndarray:
        """Return the covariance of the features of two modalities that the fit implies.

        It is L₁ cov(code₁, code₂) L₂ᵀ (features × features), codes centred over the samples.
        """
        codes = _codes(self.forms.K, self.forms.H)
        centred = [codes[name] - codes[name].mean(axis=0) for name in (first, second)]
        between = centred[0].T @ centred[1] / max(len(self.forms.K) - 1, 1)
        loaded = self._loadings()
        return np.asarray(loaded[first] @ between @ loaded[second].T)

    def loading_covariance(self, data: Modalities, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return how sure the loadings of a block are, its codes given.

        Returns
        -------
        variance
            Of the residuals of every feature (features,), on samples − effective dimensions.
        shape
            (CᵀC + ρI)⁻¹ CᵀC (CᵀC + ρI)⁻¹ (k × k) for the block's code C: the covariance of a
            feature's loadings is its variance times this. The codes were estimated too: what that
            adds is not in it.
        """
        code = _codes(self.forms.K, self.forms.H)[name]
        gram = code.T @ code
        inverse = linalg.inv(gram + self.penalty * np.eye(len(gram)))
        freedom = len(code) - float(np.trace(gram @ inverse))
        misfit = getattr(data, name) - code @ self._loadings()[name].T
        variance = (
            np.sum(misfit**2, axis=0) / freedom if freedom > 0 else np.full(misfit.shape[1], np.nan)
        )
        return variance, inverse @ gram @ inverse

    def variance_by_part(self, Y: np.ndarray) -> dict[str, float]:
        """Return the shares of ‖Y‖² of the fixed part Kαᵀ, the random part Hαᵀ, and the rest.

        The parts need not be orthogonal: ``overlap`` is twice their inner product, negative where
        they work against each other. ``residual`` is what is left of 1, with what the penalty
        keeps from being fitted.
        """
        gram = self.forms.alpha.T @ self.forms.alpha
        total = float(np.sum(Y**2)) or 1.0  # where nothing varies, all of it is residual
        K, H = self.forms.K, self.forms.H
        parts = {
            FIXED: float(np.sum((K @ gram) * K)) / total,
            RANDOM: float(np.sum((H @ gram) * H)) / total,
            OVERLAP: 2 * float(np.sum((K @ gram) * H)) / total,
        }
        return {**parts, RESIDUAL: 1.0 - sum(parts.values())}

    def systems(self) -> list[System]:
        """Return the linear system behind each block of the fit, without its penalty."""
        forms = self.forms
        both = np.vstack([forms.alpha, forms.beta])
        designs = {
            "α": (forms.code, "codes K + H of the samples; α of every gene"),
            "β": (forms.K, "codes K of the samples; β of every fixed-effect feature"),
            "u": (forms.H, "codes H of the samples; u of every random-effect feature"),
            "K": (both, "loadings α and β; K of every sample"),
            "H": (np.vstack([forms.alpha, forms.u]), "loadings α and u; H of every sample"),
        }
        shown = [name for name in designs if np.any(forms.H) or name not in ("u", "H")]
        return [self._system(name, *designs[name]) for name in shown]

    def _system(self, name: str, design: np.ndarray, words: str) -> System:
        found = diagnose(design)
        penalty = f"penalty {self.penalty:g}"
        text = f"{words} from them by least squares with {penalty}"
        if not found.full_column_rank:
            text += f", which alone decides {found.free_parameters} of {found.columns} axes"
        return System.of(f"mixed forms: {name}", found, text)

    def _loadings(self) -> dict[str, np.ndarray]:
        return {"Y": self.forms.alpha, "X": self.forms.beta, "Z": self.forms.u}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all parts as named arrays."""
        parts = {field.name: getattr(self.forms, field.name) for field in fields(Forms)}
        return {**parts, "penalty": np.array(self.penalty)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MixedForms:
        """Restore what `arrays` returned."""
        forms = Forms(**{field.name: arrays[field.name] for field in fields(Forms)})
        return cls(forms, float(arrays["penalty"]))


def _codes(K: np.ndarray, H: np.ndarray) -> dict[str, np.ndarray]:
    """Return the code that each modality is decoded from."""
    return {"Y": K + H, "X": K, "Z": H}


def _samples_of(blocks: Mapping[str, np.ndarray], widths: Mapping[str, int]) -> int:
    """Return how many samples some blocks have, which must agree with the fit and each other."""
    if not blocks:
        raise InputError("modality", "none", f"at least one of {', '.join(MODALITIES)}")
    samples = len(next(iter(blocks.values())))
    for name, block in blocks.items():
        if name not in widths:
            raise InputError("modality", f"'{name}'", f"one of {', '.join(MODALITIES)}")
        place = f"modality {name}"
        if block.shape[1] != widths[name]:
            raise InputError(place, counted(block.shape[1], "feature"), f"{widths[name]}")
        if len(block) != samples:
            raise InputError(place, counted(len(block), "sample"), f"{samples} as in the others")
    return samples


def subspace_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Return the sine of the largest angle between the column spaces of two matrices.

    0 where they are the same, 1 where one has a direction that the other lacks.
    """
    one, other = linalg.orth(first), linalg.orth(second)
    if one.shape[1] != other.shape[1]:
        return 1.0
    missed = one - other @ (other.T @ one)
    return float(min(linalg.norm(missed, 2), 1.0)) if missed.size else 0.0
