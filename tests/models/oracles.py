"""What the tests of several models share: weights at random, and the graph and rows of unit length written plainly."""

import torch


def at_random(model, std=0.5):
    """The model, serving, with normal weights: none is zero, biases too, so that each part of an equation shows."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return model.eval()


def neighbours_of(data):
    """For each node, users first, the nodes that it has a training interaction with."""
    near = [[] for _ in range(data.num_users + data.num_items)]
    for user, item in data.train.tolist():
        near[user].append(data.num_users + item)
        near[data.num_users + item].append(user)
    return near


def unit(x):
    return x / x.norm() if x.any() else x
