"""What one look at every image leaves: methods keep their columns apart, and rows their order."""

from pathlib import Path

import numpy as np
import torch

from pipeline.methods.gradients import InputXGradient, Saliency
from pipeline.metrics.localisation import InsideShare
from pipeline.passes.observe import observe
from tests.studies import stocked
from tests.worlds import ObjectReader


def test_names_of_methods_may_begin_alike(tmp_path: Path) -> None:
    eye, stock = stocked(ObjectReader(), tmp_path / "frames", 3)
    saliency = Saliency(reduce="max_abs", sign="absolute")
    methods = {"a": saliency, "a:b": InputXGradient(reduce="sum", sign="absolute"), "": saliency}
    observer, refused = observe(eye, stock, methods, {"inside_share": InsideShare()}, name="m", batch_size=5)
    images, scores, outside = observer.tables(stock.facts)
    assert refused == {}
    assert set(outside) == set(methods)
    assert images["id"].tolist() == [f"{k}-{i}" for k in range(4) for i in range(3)]
    assert scores.groupby("method", sort=False)["id"].agg(list).tolist() == [images["id"].tolist()] * 3
    shares = {m: own["inside_share"].to_numpy() for m, own in scores.groupby("method")}
    assert np.array_equal(shares["a"], shares[""])
    batch = stock.frames.batch(np.arange(12), eye.index).to(torch.device("cpu"))
    for name, method in methods.items():
        maps = method(eye.classifier, batch.images, batch.labels).abs().double()
        wanted = (maps * batch.inside).sum(dim=(1, 2)) / maps.sum(dim=(1, 2))
        np.testing.assert_allclose(shares[name], wanted.numpy(), rtol=1e-5)
