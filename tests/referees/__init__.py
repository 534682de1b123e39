"""Independent referees for the posterior, written from `docs/model.md` alone.

Nothing here imports the package. `simulate` draws tables, `model` writes the joint density down
plainly, and three unrelated methods integrate it: `brute_force` (a dense grid), `nuts` (NumPyro)
and `ensemble` (emcee).
"""
