"""Calibration: a map of label logits, fitted on the train outputs of the same prompt, which costs no further call.

`bias` adds one number per class (Contextual and Batch Calibration, arXiv 2102.09690 and 2309.17249, with the labels
known), `scale` multiplies each class's logit by a number of its own, too (Supervised Calibration, arXiv 2505.23783),
and `affine` multiplies by a matrix. All minimise the train cross-entropy plus RIDGE / 2 times the squared distance from
the identity map: separable examples have no finite optimum without it. The objective is strictly convex, and Newton's
method finds its one minimum.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.special import log_softmax, softmax

from dfo_bench.lm.losses import Classes
from dfo_bench.points import Array, Index

Calibration = Literal["none", "bias", "affine"]
"""What a task offers to fit: nothing, one number per class, or a matrix and a number per class."""

Kind = Literal["none", "bias", "scale", "affine"]
"""What can be fitted; `scale` is two numbers per class."""

RIDGE = 0.01
"""The weight of the distance from the identity; the cross-entropy is a mean over the examples."""

PRECISION = 1e-8
"""The norm of the gradient at which a fit ends."""

_MOST_STEPS = 200


def calibrate(kind: Kind, train: Array, classes: Classes, *others: Array) -> list[Array]:
    """Return the logits of other texts, and first those of train, after a map fitted on train for each candidate.

    `train` has shape (n, examples, classes), and so have `others` with examples of their own; `classes` are the class
    indices of train. Logits that are not finite come back as they are.
    """
    maps = learn(kind, train, classes)
    return [apply(maps, logits) for logits in (train, *others)]


def learn(kind: Kind, train: Array, classes: Classes) -> Array | None:
    """Return the maps that `calibrate` applies, shape (n, classes + 1, classes); None for kind=none."""
    return None if kind == "none" else fit(kind, _centred(train), classes)


def apply(maps: Array | None, logits: Array) -> Array:
    """Return logits, shape (..., texts, classes), after maps that `learn` returned; without any as they are."""
    return logits if maps is None else _with_ones(_centred(logits)) @ maps


def fit(kind: Kind, logits: Array, classes: Classes) -> Array:
    """Return one map per candidate, shape (n, classes + 1, classes): what multiplies logits and a column of ones.

    `logits` has shape (n, examples, classes), with mean 0 over the classes. A map fitted to logits that are not finite
    is nan.
    """
    n, examples, k = logits.shape
    identity = np.vstack([np.eye(k), np.zeros(k)])
    free = _free(kind, k)
    mask = _mask(kind, k)
    maps = np.repeat(identity[None], n, axis=0)
    maps[~np.isfinite(logits).all(axis=(1, 2))] = np.nan
    wanted = np.eye(k)[classes]
    features = _with_ones(logits)
    active = np.flatnonzero(np.isfinite(maps).all(axis=(1, 2)))
    for _ in range(_MOST_STEPS):
        if not len(active):
            break
        design, current = features[active], maps[active]
        shares = softmax(design @ current, axis=2)
        inputs = design[:, :, free]
        gradient = np.swapaxes(inputs, 1, 2) @ (shares - wanted) / examples + RIDGE * (current - identity)[:, free]
        gradient *= mask
        going = np.sqrt((gradient**2).sum(axis=(1, 2))) > PRECISION
        active, design, current, shares, inputs, gradient = (
            values[going] for values in (active, design, current, shares, inputs, gradient)
        )
        if not len(active):
            break
        step = _newton_step(inputs, shares, gradient, np.flatnonzero(mask))
        maps[active, free] -= _damping(design, current, step, gradient, free, wanted, identity) * step
    return maps


def pull_back(kind: Calibration, train: Array, classes: Classes, slopes: Callable[[Array], Array]) -> Array:
    """Return the derivative, in the train logits, of a loss of the train logits after the map fitted on them.

    All shapes are those of `train`, (n, examples, classes). `slopes` returns the loss's derivative in the logits after
    the map. The map depends on the logits, too, by the vanishing gradient of its fit, which is differentiated
    (implicit function theorem).
    """
    if kind == "none":
        return slopes(train)
    logits = _centred(train)
    maps = fit(kind, logits, classes)
    k, examples = logits.shape[2], logits.shape[1]
    features = _with_ones(logits)
    after = features @ maps
    outer, shares = slopes(after), softmax(after, axis=2)
    inputs = features[:, :, _free(kind, k)]
    weights = np.swapaxes(maps[:, :k], 1, 2)
    # The adjoint: how the loss would fall if each entry of the fit's gradient rose.
    adjoint = _newton_step(inputs, shares, np.swapaxes(inputs, 1, 2) @ outer, np.flatnonzero(_mask(kind, k)))
    moved = inputs @ adjoint
    curved = shares * (moved - (shares * moved).sum(axis=2, keepdims=True))
    direct = outer - curved / examples
    inner = direct @ weights
    if kind == "affine":
        inner -= (shares - np.eye(k)[classes]) @ np.swapaxes(adjoint[:, :k], 1, 2) / examples
    return inner - inner.mean(axis=2, keepdims=True)


def _free(kind: Kind, classes: int) -> slice:
    """Return the rows of a map that are fitted: with kind=bias only the last."""
    return slice(classes, None) if kind == "bias" else slice(None)


def _mask(kind: Kind, classes: int) -> Array:
    """Return 1 for what is fitted in these rows, else 0: with kind=scale the diagonal, and the last row."""
    if kind == "scale":
        return np.vstack([np.eye(classes), np.ones(classes)])
    return np.ones((1 if kind == "bias" else classes + 1, classes))


def _centred(logits: Array) -> Array:
    return logits - logits.mean(axis=-1, keepdims=True)


def _with_ones(logits: Array) -> Array:
    return np.concatenate([logits, np.ones((*logits.shape[:-1], 1))], axis=-1)


def _newton_step(inputs: Array, shares: Array, gradient: Array, free: Index) -> Array:
    """Solve for the step, shape of the gradient: (m, rows, classes); all but its entries `free` are 0."""
    m, examples, rows = inputs.shape
    k = shares.shape[2]
    # Per example: diag(p) - p p', the curvature of the cross-entropy in the logits.
    curvature = shares[:, :, :, None] * (np.eye(k) - shares[:, :, None, :])
    hessian = np.einsum("meij,meab->miajb", inputs[:, :, :, None] * inputs[:, :, None, :], curvature, optimize=True)
    hessian = hessian.reshape(m, rows * k, rows * k) / examples + RIDGE * np.eye(rows * k)
    step = np.zeros((m, rows * k, 1))
    step[:, free] = np.linalg.solve(hessian[:, free[:, None], free], gradient.reshape(m, rows * k, 1)[:, free])
    return step.reshape(gradient.shape)


def _damping(
    design: Array, current: Array, step: Array, gradient: Array, free: slice, wanted: Array, identity: Array
) -> Array:
    """Return for each candidate the largest of 1, 1/2, 1/4... by which its objective falls enough (Armijo's rule)."""

    def objective(maps: Array) -> Array:
        entropy: Array = -(log_softmax(design @ maps, axis=2) * wanted).sum(axis=2).mean(axis=1)
        return entropy + RIDGE / 2 * ((maps - identity) ** 2).sum(axis=(1, 2))

    before, slope = objective(current), (gradient * step).sum(axis=(1, 2))
    damping = np.ones((len(current), 1, 1))
    for _ in range(30):
        tried = current.copy()
        tried[:, free] -= damping * step
        # Near the minimum the fall is below what a double resolves.
        short = objective(tried) > before - 1e-4 * damping[:, 0, 0] * slope + 1e-14
        if not short.any():
            break
        damping[short] /= 2
    return damping
