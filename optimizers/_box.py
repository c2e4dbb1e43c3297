"""The box of a method that needs a finite one, where the task has no bounds."""

BOX = 5.0
"""Half its width in units of scale. Under `normal` and `uniform`, z uniform in [-5, 5]^d moves every coordinate of
a prompt by 2.9 standard deviations of the word embeddings: further out lies nothing that a model has seen."""
