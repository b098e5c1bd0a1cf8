"""Checks time stamps against the documented rate. NumPy only: worker processes import this."""

import numpy as np

RATE_TOLERANCE = 0.01  # clocks drift; rates that are taken for each other differ by 2 % (2000, 2048)


def problem(time_s: np.ndarray, rate_hz: float) -> str:
  """What is wrong with at least two time stamps; '' where they run at `rate_hz`.

  The median step is compared, so that gaps, which recordings have, are no fault.
  """
  if not np.isfinite(time_s).all():
    return 'time holds NaN or infinity'
  steps_s = np.diff(time_s)
  if (steps_s < 0).any():
    return f'time runs backwards at sample {int(np.argmax(steps_s < 0)) + 1}'
  step_s = float(np.median(steps_s))
  if abs(step_s * rate_hz - 1) > RATE_TOLERANCE:
    return f'a median time step of {step_s:.6g} s, expected {1 / rate_hz:.6g} s'
  return ''
