"""What came true: the few-shot elbow as later checkpoints show it.

Forecasts are held against it. It never sees what a forecast said.
"""

from emergecast.backtest._truth import GroundTruth, ground_truth

__all__ = ["GroundTruth", "ground_truth"]
