"""Pretraining scaling laws: from parameters and tokens to a loss, and to training compute.

Holds published constants under their names and evaluates them. It refuses to pretend that such a
loss was measured: whoever uses one marks it as estimated.
"""

from emergecast.scaling._laws import NAMED_LAWS, ChinchillaLaw, training_flops

__all__ = ["NAMED_LAWS", "ChinchillaLaw", "training_flops"]
