"""The tasks that a config may ask for."""

from aemg_jax.training.tasks.fatigue import FatigueTask
from aemg_jax.training.tasks.masked import MaskedTask
from aemg_jax.training.tasks.motion import MotionTask
from aemg_jax.training.tasks.supervised import SupervisedTask
from aemg_jax.training.tasks.vq import VQTask

TASKS = {'vq': VQTask, 'masked': MaskedTask, 'supervised': SupervisedTask, 'fatigue': FatigueTask,
         'motion': MotionTask}
