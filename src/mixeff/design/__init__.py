"""A formula and columns -> the numbers of a model, and the frozen state that scores new data."""
