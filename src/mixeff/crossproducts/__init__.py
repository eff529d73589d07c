"""The weighted Gram of [Z X y] in blocks: everything a linear mixed model needs from the data."""
