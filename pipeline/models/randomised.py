"""A network that has learned nothing: the same architecture with all its weights drawn anew."""

from __future__ import annotations

import copy

import torch

from pipeline.models.folding import folded
from pipeline.types import Classifier


def randomised(classifier: Classifier, seed: int) -> Classifier:
    """The classifier with every parameter re-initialised; the user's network stays as it is.

    The model parameter randomisation of Adebayo et al. 2018 ("Sanity checks for saliency maps"), all layers at once. A
    module draws its parameters as its author wrote (`reset_parameters`); parameters without an author's word, such as a
    transformer's class token, have their values shuffled. Drawn on the CPU, so that every device gets the same.
    """
    module = copy.deepcopy(classifier.module).cpu()
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        for part in module.modules():
            if callable(reset := getattr(part, "reset_parameters", None)):
                reset()
                continue
            for parameter in part.parameters(recurse=False):
                values = parameter.flatten()
                parameter.copy_(values[torch.randperm(len(values), generator=generator)].view_as(parameter))
    module = module.to(classifier.device).eval().requires_grad_(False)
    height, width = classifier.frame
    example = torch.rand((2, 3, height, width), generator=generator).to(classifier.device)
    fast = folded(module, example).to(memory_format=torch.channels_last)
    return classifier.having(module, fast)
