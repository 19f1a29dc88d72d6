"""Shared by all tests: one thread (two busy cores make torch's threads fight), and a place for real data if any."""

import torch

torch.set_num_threads(1)
