"""Networks by name and by callable, their weights from files, and what is said when something does not fit."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet18_Weights, ViT_B_16_Weights, get_model
from torchvision.transforms.v2.functional import pil_to_tensor

from pipeline.models import sources
from pipeline.models.checkpoint import load_checkpoint
from pipeline.models.classifier import classifier, weights_sha256
from pipeline.models.preprocessing import Preprocessing, from_weights
from pipeline.models.sources import Network, Torchvision
from pipeline.types import AuditError

CPU = torch.device("cpu")
PIXELS = Preprocessing(resize=[64, 64], crop=None, mean=[0.5] * 3, std=[0.25] * 3)


def linear() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 2))


def state() -> dict[str, torch.Tensor]:
    return {"2.weight": torch.arange(6.0).reshape(2, 3), "2.bias": torch.tensor([1.0, 2.0])}


def _loaded(path: Path) -> dict[str, torch.Tensor]:
    network = linear()
    load_checkpoint(network, path)
    return network.state_dict()


@pytest.mark.parametrize("nest", [None, "state_dict", "model_state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dicts_load_however_they_were_saved(tmp_path: Path, nest: str | None, prefix: str) -> None:
    saved = {prefix + k: v for k, v in state().items()}
    torch.save(saved if nest is None else {nest: saved, "epoch": 3}, tmp_path / "w.pth")
    for key, value in _loaded(tmp_path / "w.pth").items():
        assert torch.equal(value, state()[key])


def test_safetensors_load(tmp_path: Path) -> None:
    save_file(state(), tmp_path / "w.safetensors")
    assert torch.equal(_loaded(tmp_path / "w.safetensors")["2.bias"], state()["2.bias"])


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("code ran",))


def test_files_that_do_not_fit_are_named_with_the_cause(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def message(name: str) -> str:
        with pytest.raises(AuditError) as caught:
            _loaded(tmp_path / name)
        assert name in str(caught.value)
        return str(caught.value)

    assert "there is no checkpoint" in message("absent.pth")
    torch.save(Evil(), tmp_path / "evil.pth")
    assert "could run code" in message("evil.pth")
    assert "code ran" not in capsys.readouterr().out
    (tmp_path / "text.safetensors").write_text("hello")
    assert "not a checkpoint that can be read" in message("text.safetensors")
    (tmp_path / "text.pth").write_text("hello")
    assert "checkpoint" in message("text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    assert "must hold a state_dict" in message("list.pth")
    save_file({"2.weight": torch.zeros(5, 3), "2.bias": torch.zeros(5)}, tmp_path / "five.safetensors")
    assert "2.weight is (5, 3), expected (2, 3)" in message("five.safetensors")
    assert "number of classes" in message("five.safetensors")
    save_file({"conv.weight": torch.zeros(5, 3)}, tmp_path / "other.safetensors")
    assert "missing 2.weight, 2.bias; unexpected conv.weight (is it the same architecture?)" in message(
        "other.safetensors"
    )


@pytest.mark.parametrize("weights", [ResNet18_Weights.DEFAULT, ViT_B_16_Weights.IMAGENET1K_SWAG_E2E_V1])
@pytest.mark.parametrize("size", [(300, 500), (700, 450)])
def test_preprocessing_equals_the_weights_own_transforms(weights: object, size: tuple[int, int]) -> None:
    """Bit for bit before normalisation: the model sees what it sees in production."""
    pixels = torch.randint(0, 256, (size[1], size[0], 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    image = Image.fromarray(pixels.numpy())
    ours = from_weights(weights)
    frame = pil_to_tensor(ours.transform(image)).float() / 255
    mean, std = torch.tensor(ours.mean).view(3, 1, 1), torch.tensor(ours.std).view(3, 1, 1)
    expected = weights.transforms()(image)  # type: ignore[attr-defined]
    assert frame.shape[1:] == ours.frame
    assert torch.allclose((frame - mean) / std, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean": [0.5]}, "`mean` must have three numbers"),
        ({"std": [0.0, 1, 1]}, "`std` must be above 0"),
        ({"interpolation": "cubist"}, "`interpolation` must be one of"),
        ({"resize": 256}, "`resize` must be"),
    ],
)
def test_wrong_preprocessing_is_named(change: dict[str, object], message: str) -> None:
    good: dict[str, object] = {"resize": [64, 64], "crop": None, "mean": [0.5] * 3, "std": [0.25] * 3}
    with pytest.raises(ValueError, match=message):
        Preprocessing(**(good | change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "resnet81"}, "no model 'resnet81'; near: resnet"),
        ({"weights": "IMAGENET9K"}, "`weights` of resnet18 must be one of DEFAULT, IMAGENET1K_V1"),
        ({"weights": None}, "`preprocessing` is required"),
        ({"weights": None, "preprocessing": PIXELS}, "random weights has nothing to audit"),
        ({"classes": ["a", "b"], "num_classes": 3}, "`num_classes` is 3 but `classes` has 2 names"),
    ],
)
def test_wrong_torchvision_settings_are_named(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Torchvision(**({"name": "resnet18", "weights": "DEFAULT"} | change))  # type: ignore[arg-type]


def test_a_checkpoint_with_a_weights_enum_needs_no_network(tmp_path: Path) -> None:
    network = get_model("squeezenet1_1", weights=None)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    loaded = Torchvision(
        name="squeezenet1_1", weights="IMAGENET1K_V1", checkpoint=str(tmp_path / "w.safetensors")
    ).load(CPU)
    assert loaded.frame == (224, 224)
    assert len(loaded.classes) == 1000
    assert "Persian cat" in loaded.classes
    assert not loaded.module.training
    assert weights_sha256(loaded.module.network) == weights_sha256(network)  # type: ignore[arg-type]


def test_weights_that_cannot_be_downloaded_ask_for_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> nn.Module:
        raise URLError("no route")

    monkeypatch.setattr(sources, "get_model", unreachable)
    with pytest.raises(AuditError, match=r"cannot be downloaded.*model.checkpoint="):
        Torchvision(name="resnet18", weights="DEFAULT").load(CPU)


def test_classes_of_a_bare_checkpoint_must_be_given(tmp_path: Path) -> None:
    source = Torchvision(name="resnet18", checkpoint=str(tmp_path / "w.pth"), preprocessing=PIXELS)
    with pytest.raises(AuditError, match=r"`model\.classes` is required"):
        source.load(CPU)


def _fail() -> nn.Module:
    raise OSError("no such thing")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (_fail, "`model.build` fails: no such thing"),
        (lambda: "text", "must return a torch.nn.Module, got str"),
        (
            lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 5)),
            r"shape \(2, 5\) .*expected \(2, 2\)",
        ),
        (lambda: nn.Linear(99, 2), "fails on images of 64 x 64"),
    ],
)
def test_networks_that_do_not_work_are_named(build: object, message: str) -> None:
    with pytest.raises(AuditError, match=message):
        Network(build=build, classes=["a", "b"], preprocessing=PIXELS).load(CPU)  # type: ignore[arg-type]


FAMILIES = (
    "resnet18",
    "vgg11",
    "squeezenet1_1",
    "mobilenet_v2",
    "densenet121",
    "efficientnet_b0",
    "shufflenet_v2_x0_5",
    "convnext_tiny",
)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_feature_map_is_found_by_itself(name: str) -> None:
    made = classifier(get_model(name, weights=None, num_classes=10), [str(i) for i in range(10)], PIXELS, CPU)
    shapes: list[tuple[int, ...]] = []
    handle = made.layer(None).register_forward_hook(lambda _m, _i, output: shapes.append(tuple(output.shape)))
    with torch.no_grad():
        made.fast(torch.rand(1, 3, 64, 64))
    handle.remove()
    assert len(shapes) == 1
    _, channels, height, width = shapes[0]
    assert channels > 10
    assert min(height, width) > 1


def test_squeezenets_class_map_is_not_taken_for_features() -> None:
    made = classifier(
        get_model("squeezenet1_1", weights=None, num_classes=10), [str(i) for i in range(10)], PIXELS, CPU
    )
    names = {m: n for n, m in made.fast.network.named_modules()}  # type: ignore[union-attr, operator]
    assert names[made.layer(None)].startswith("features")


def test_a_layer_that_does_not_exist_is_answered_with_near_ones() -> None:
    made = classifier(get_model("resnet18", weights=None, num_classes=2), ["a", "b"], PIXELS, CPU)
    with pytest.raises(ValueError, match=r"'layer44' is not in the network; near: layer4"):
        made.layer("layer44")
    assert made.layer("layer4.1") is made.fast.network.layer4[1]  # type: ignore[union-attr, index]


@pytest.mark.shared
def test_the_real_checkpoints_load(shared_data: Path) -> None:
    photographs, animals = shared_data / "photographs" / "models", shared_data / "animals"
    squeezenet = Torchvision(
        name="squeezenet1_1",
        weights="IMAGENET1K_V1",
        checkpoint=str(photographs / "squeezenet1_1_imagenet.safetensors"),
    )
    assert squeezenet.load(CPU)(torch.rand(1, 3, 224, 224)).shape == (1, 1000)
    shufflenet = Torchvision(
        name="shufflenet_v2_x1_0",
        checkpoint=str(animals / "shufflenet_v2_x1_0.safetensors"),
        classes=["kangaroo", "raccoon"],
        preprocessing=Preprocessing(
            resize=[160, 160], crop=None, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]
        ),
    )
    assert shufflenet.load(CPU)(torch.rand(1, 3, 160, 160)).shape == (1, 2)
