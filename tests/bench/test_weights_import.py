"""Importing what others published: files as they write them, by tables that were written down here once more."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bench import catalog, checkpoints
from bench.build import build_method
from bench.catalog import Tree, with_settings
from bench.checkpoints import FORMATS, checkpoint_format
from bench.downloads import file_sha256
from bench.errors import CommandError, MissingError, UsageError
from bench.importing import import_weights
from bench.manifest import MANIFEST, load_manifest, load_networks, verify_weights
from bench.weights import find_method_weights
from lightning_modules.networks.siggraph import SiggraphNet

SMALL = {"width": 0.0625, "classes": 9, "input_size": 32, "crop_size": 32}
State = dict[str, Tensor]

MMAGIC = {
    "full": "image_model",
    "instance": "instance_model",
    "fusion": "fusion_model",
}
WITHOUT_SEQUENTIAL = {
    "model8up.0": "model8up",
    "model9up.0": "model9up",
    "model10up.0": "model10up",
    "model3short8.0": "model3short8",
    "model2short9.0": "model2short9",
    "model1short10.0": "model1short10",
    "model_class.0": "model_class",
}
FILES = {"full": "latest_net_GComp.pth", "instance": "latest_net_G.pth", "fusion": "latest_net_GF.pth"}
SINGLE = {
    "zhang-eccv16": ("zhang-eccv16", "colorization_release_v2-9b330a0b.pth"),
    "zhang-siggraph17": ("zhang-siggraph17", "siggraph17-df00044c.pth"),
    "colorization-pytorch": ("zhang-siggraph17", "latest_net_G.pth"),
}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Build every method with a sixteenth of the published channels."""
    published = catalog.model_tree

    def smaller(method: str) -> Tree:
        return with_settings(published(method), SMALL)

    monkeypatch.setattr(catalog, "model_tree", smaller)


def networks_of(method: str, seed: int = 0) -> dict[str, nn.Module]:
    torch.manual_seed(seed)
    networks = dict(build_method(catalog.model_tree(method)).networks())
    for network in networks.values():
        for name, buffer in network.named_buffers():
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0)
    return networks


def state_of(method: str, network: str = "network", seed: int = 0) -> State:
    return {name: value.clone() for name, value in networks_of(method, seed)[network].state_dict().items()}


def save(state: object, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)
    return path


def authors_files(folder: Path, prefix: Mapping[str, str] | None = None) -> list[Path]:
    networks = networks_of("instcolor-fusion")
    paths = []
    for name, file in FILES.items():
        state = {(prefix or {}).get(name, "") + key: value for key, value in networks[name].state_dict().items()}
        paths.append(save(state, folder / file))
    return paths


def mmagic_state() -> State:
    state = {}
    for name, network in networks_of("instcolor-fusion").items():
        for key, value in network.state_dict().items():
            module, _, rest = key.rpartition(".")
            state[f"{MMAGIC[name]}.{WITHOUT_SEQUENTIAL.get(module, module)}.{rest}"] = value
    return state


def assert_same(folder: Path, method: str, wanted: Mapping[str, nn.Module]) -> None:
    found = dict(build_method(load_manifest(folder).tree(method)).networks())
    load_networks(found, folder)
    for name, network in wanted.items():
        for key, value in network.state_dict().items():
            assert torch.equal(found[name].state_dict()[key], value), key


@pytest.mark.parametrize("prefix", [{}, {"fusion": "module."}, dict.fromkeys(FILES, "module.")], ids=len)
def test_the_three_files_of_instcolorization(tmp_path: Path, prefix: dict[str, str]) -> None:
    files = authors_files(tmp_path / "checkpoints", prefix)
    imported = import_weights("instcolorization", files, tmp_path / "out")
    assert_same(tmp_path / "out", "instcolor-fusion", networks_of("instcolor-fusion"))
    manifest = verify_weights(tmp_path / "out")
    assert manifest.method == "instcolor-fusion"
    assert manifest.sources == {path.name: file_sha256(path) for path in files}
    assert manifest.settings == {"mask_center": 0.5}
    assert {"instcolor-full", "instcolor-instance", "instcolor-fusion"} <= set(imported.methods)
    assert find_method_weights(tmp_path / "out", "instcolor-full") == tmp_path / "out"
    for method in imported.methods:
        load_networks(build_method(manifest.tree(method)).networks(), tmp_path / "out")


@pytest.mark.parametrize("wrapper", [False, True])
def test_the_conversion_by_mmagic(tmp_path: Path, wrapper: bool) -> None:
    state = mmagic_state()
    content = {"meta": {"epoch": 3, "time": "now"}, "state_dict": state} if wrapper else state
    path = save(content, tmp_path / "inst-colorizatioon_full_official_cocostuff-256x256-5b9d4eee.pth")
    import_weights("mmagic", [path], tmp_path / "out")
    assert_same(tmp_path / "out", "instcolor-fusion", networks_of("instcolor-fusion"))


@pytest.mark.parametrize("form", SINGLE)
def test_the_single_files_of_zhang(tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    method, file = SINGLE[form]
    path = save(state_of(method), tmp_path / file)
    imported = import_weights(form, [path], tmp_path / "out")
    assert_same(tmp_path / "out", method, {"network": networks_of(method)["network"]})
    assert imported.manifest.method == method
    assert ("it is not the published file" in capsys.readouterr().err) == ("-" in path.stem)
    text = "\n".join(imported.lines())
    assert file_sha256(path) in text
    assert imported.manifest.networks["network"].sha256 in text


@pytest.mark.parametrize(
    ("form", "folder", "center"),
    [
        ("zhang-siggraph17", "any", 0.0),
        ("colorization-pytorch", "siggraph_retrained", 0.5),
        ("colorization-pytorch", "siggraph_caffemodel", 0.0),
    ],
)
def test_the_centre_of_the_mask_travels(tmp_path: Path, form: str, folder: str, center: float) -> None:
    method, file = SINGLE[form]
    path = save(state_of(method), tmp_path / folder / file)
    manifest = import_weights(form, [path], tmp_path / "out").manifest
    assert manifest.settings["mask_center"] == center
    built = build_method(manifest.tree(method)).networks()["network"]
    assert isinstance(built, SiggraphNet)
    assert built.mask_center == center


def test_the_released_eccv16_decodes_by_a_plain_softmax(tmp_path: Path) -> None:
    path = save(state_of("zhang-eccv16"), tmp_path / "colorization.pth")
    manifest = import_weights("zhang-eccv16", [path], tmp_path / "out").manifest
    assert manifest.tree("zhang-eccv16")["init_args"]["temperature"] == 1.0
    assert manifest.settings == {"temperature": 1.0, "prior": "uniform: the release holds none"}
    networks = dict(build_method(manifest.tree("zhang-eccv16")).networks())
    load_networks(networks, tmp_path / "out")
    prior = networks["prior"].state_dict()["probability"]
    assert torch.equal(prior, torch.full_like(prior, 1 / len(prior)))


@pytest.mark.parametrize(("form", "center"), [("colorization-pytorch", 0.5), ("zhang-siggraph17", 0.0)])
def test_the_start_of_instcolorization_is_in_one_file_under_both_names(
    form: str, center: float, tmp_path: Path
) -> None:
    path = save(state_of("zhang-siggraph17"), tmp_path / SINGLE[form][1])
    manifest = import_weights(form, [path], tmp_path / "out").manifest
    assert manifest.tree("instcolor-full")["init_args"]["full"]["init_args"]["mask_center"] == center
    assert [each.name for each in (tmp_path / "out").glob("*.safetensors")] == ["network.safetensors"]
    assert find_method_weights(tmp_path / "out", "instcolor-full") == tmp_path / "out"
    assert_same(tmp_path / "out", "instcolor-full", {"full": networks_of("zhang-siggraph17")["network"]})


def test_files_of_a_torch_before_counters_are_read(tmp_path: Path) -> None:
    old = {name: value for name, value in state_of("zhang-siggraph17").items() if "num_batches" not in name}
    import_weights("zhang-siggraph17", [save(old, tmp_path / "siggraph17.pth")], tmp_path / "out")
    assert_same(tmp_path / "out", "zhang-siggraph17", {"network": networks_of("zhang-siggraph17")["network"]})
    old["model1.4.num_batches_tracked"] = torch.tensor(0)
    with pytest.raises(UsageError, match=r"8 missing: model2\.4\.num_batches_tracked"):
        import_weights("zhang-siggraph17", [save(old, tmp_path / "siggraph17.pth")], tmp_path / "other")


def test_safetensors_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(state_of("zhang-siggraph17"), tmp_path / "siggraph17.safetensors")
    import_weights("zhang-siggraph17", [tmp_path / "siggraph17.safetensors"], tmp_path / "out")
    assert_same(tmp_path / "out", "zhang-siggraph17", {"network": networks_of("zhang-siggraph17")["network"]})


def _drop(state: State) -> None:
    del state["model_out.0.bias"], state["model9up.0.weight"]


def _add(state: State) -> None:
    state["model11.0.weight"] = torch.zeros(1)


def _reshape(state: State) -> None:
    state["model1.0.weight"] = torch.zeros(4, 1, 3, 3)


def _poison(state: State) -> None:
    state["model7.0.bias"][0] = torch.nan


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_drop, r"2 missing: model9up\.0\.weight, model_out\.0\.bias"),
        (_add, r"1 surplus: model11\.0\.weight"),
        (_reshape, r"1 of another shape: model1\.0\.weight \(4, 1, 3, 3\), not \(4, 4, 3, 3\)"),
        (_poison, r"1 not finite: model7\.0\.bias"),
    ],
)
@pytest.mark.parametrize("form", ["zhang-siggraph17", "instcolorization"])
def test_every_tensor_is_accounted_for(tmp_path: Path, form: str, spoil: Callable[[State], None], words: str) -> None:
    if form == "instcolorization":
        files = authors_files(tmp_path)
        path = tmp_path / FILES["fusion"]
        state = state_of("instcolor-fusion", "fusion")
    else:
        files = [path := tmp_path / "siggraph17.pth"]
        state = state_of("zhang-siggraph17")
    spoil(state)
    save(state, path)
    with pytest.raises(UsageError, match=rf"{path.name} does not hold the network \w+ of {form}: {words}"):
        import_weights(form, files, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_belongs_to_no_network_of_mmagic_is_named(tmp_path: Path) -> None:
    path = save({**mmagic_state(), "discriminator.weight": torch.zeros(1)}, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"net\.pth is not of mmagic: 1 surplus: discriminator\.weight"):
        import_weights("mmagic", [path], tmp_path / "out")


def test_a_file_of_another_format_is_recognised_by_its_keys(tmp_path: Path) -> None:
    files = {
        "mmagic": save(mmagic_state(), tmp_path / "a.pth"),
        "zhang-eccv16": save(state_of("zhang-eccv16"), tmp_path / "b.pth"),
        "zhang-siggraph17": save(state_of("zhang-siggraph17"), tmp_path / "c.pth"),
    }
    for form in files:
        for other, path in files.items():
            if other != form:
                with pytest.raises(UsageError, match=rf"{path.name} does not hold .* looks like {other}"):
                    import_weights(form, [path], tmp_path / "out")
    swapped = authors_files(tmp_path)
    fusion, full = tmp_path / FILES["fusion"], tmp_path / FILES["full"]
    fusion.rename(tmp_path / "kept")
    full.rename(fusion)
    (tmp_path / "kept").rename(full)
    with pytest.raises(
        UsageError, match=r"GComp\.pth does not hold .*168 surplus.*looks like the fusion network \(GF\)"
    ):
        import_weights("instcolorization", swapped, tmp_path / "out")


@pytest.mark.parametrize(
    ("form", "file", "others"),
    [
        ("zhang-eccv16", "siggraph17-df00044c.pth", "zhang-siggraph17"),
        ("zhang-siggraph17", "latest_net_G.pth", "instcolorization or colorization-pytorch"),
        ("colorization-pytorch", "siggraph17-df00044c.pth", "zhang-siggraph17"),
        ("mmagic", "latest_net_GF.pth", "instcolorization"),
    ],
)
def test_names_of_another_format_are_refused(tmp_path: Path, form: str, file: str, others: str) -> None:
    (tmp_path / file).write_bytes(b"")
    with pytest.raises(UsageError, match=f"{file} has the name of a file of {others}, not of {form}"):
        import_weights(form, [tmp_path / file], tmp_path / "out")


class Payload:
    """Make a folder when it is unpickled."""

    def __init__(self, target: str) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.target,)


def test_files_that_are_no_weights_are_named(tmp_path: Path) -> None:
    whole = save(state_of("zhang-siggraph17"), tmp_path / "siggraph17.pth").read_bytes()
    contents = {
        "cut.pth": (whole[: len(whole) // 2], "it is empty, damaged or cut short"),
        "empty.pth": (b"", "it is empty, damaged or cut short"),
        "page.pth": (b"<!DOCTYPE html><html>Virus scan warning</html>", "torch.save wrote no such file"),
        "cut.safetensors": (whole[:99], "cannot be read safely"),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=f"{name} .*{words}"):
            import_weights("zhang-siggraph17", [tmp_path / name], tmp_path / "out")
    evil = save({"model1.0.weight": Payload(str(tmp_path / "executed"))}, tmp_path / "evil.pth")
    with pytest.raises(UsageError, match=r"evil\.pth .*objects of posix\.mkdir, which are not executed"):
        import_weights("zhang-siggraph17", [evil], tmp_path / "out")
    listed = save({"state_dict": {"model1.0.weight": [1, 2]}}, tmp_path / "list.pth")
    with pytest.raises(UsageError, match=r"list\.pth is no state dict: .*list at 'model1\.0\.weight'"):
        import_weights("zhang-siggraph17", [listed], tmp_path / "out")
    assert not (tmp_path / "executed").exists()
    assert not (tmp_path / "out").exists()


def test_the_wrong_files_are_refused_before_they_are_read(tmp_path: Path) -> None:
    names = ["latest_net_G.pth", "latest_net_GF.pth", "latest_net_GComp.pth", "3_net_G.pth", "notes.txt"]
    g, gf, gcomp, second, notes = (tmp_path / name for name in names)
    for path in (g, gf, gcomp, second, notes):
        path.write_bytes(b"")
    for files in ([g], [g, gf], [g, gf, second], [g, gf, gcomp, second]):
        with pytest.raises(
            UsageError, match=r"wants \.\.\._net_G\.pth \.\.\._net_GComp\.pth \.\.\._net_GF\.pth, given latest"
        ):
            import_weights("instcolorization", files, tmp_path / "out")
    with pytest.raises(UsageError, match=r"wants one file, given latest_net_G\.pth, 3_net_G\.pth"):
        import_weights("colorization-pytorch", [g, second], tmp_path / "out")
    with pytest.raises(UsageError, match="is a folder: name the files of instcolorization"):
        import_weights("instcolorization", [tmp_path], tmp_path / "out")
    with pytest.raises(UsageError, match=r"notes\.txt is no file of weights"):
        import_weights("mmagic", [notes], tmp_path / "out")
    with pytest.raises(MissingError, match=r"no file .*siggraph17\.pth"):
        import_weights("zhang-siggraph17", [tmp_path / "siggraph17.pth"], tmp_path / "out")


def test_formats_are_known_by_name() -> None:
    with pytest.raises(UsageError, match="did you mean zhang-eccv16"):
        checkpoint_format("zhang-eccv17")
    with pytest.raises(UsageError, match=r"colornet\.t7 is a Torch7 file.*`colorbench train iizuka-siggraph16"):
        checkpoint_format("iizuka-t7")


def test_other_weights_are_not_replaced(tmp_path: Path) -> None:
    path = save(state_of("zhang-siggraph17"), tmp_path / "siggraph17.pth")
    first = import_weights("zhang-siggraph17", [path], tmp_path / "out").manifest
    assert import_weights("zhang-siggraph17", [path], tmp_path / "out").manifest == first
    save(state_of("zhang-siggraph17", seed=1), path)
    with pytest.raises(UsageError, match="holds other weights, of zhang-siggraph17: give another --out"):
        import_weights("zhang-siggraph17", [path], tmp_path / "out")
    other = save(state_of("zhang-eccv16"), tmp_path / "eccv16.pth")
    with pytest.raises(UsageError, match="holds other weights"):
        import_weights("zhang-eccv16", [other], tmp_path / "out")
    assert load_manifest(tmp_path / "out") == first
    with pytest.raises(UsageError, match="is a file: name a folder"):
        import_weights("zhang-siggraph17", [path], path)
    with pytest.raises(CommandError, match="cannot be written"):
        import_weights("zhang-siggraph17", [path], path / "below")


def test_cards_and_formats_agree() -> None:
    for card in catalog.methods().values():
        if card.weights is None or card.weights.format == checkpoints.TORCH7:
            continue
        form = FORMATS[card.weights.format]
        assert card.weights.file is not None
        assert form.is_published_name(Path(card.weights.file))
        assert form.method == card.id or card.id.startswith("instcolor-")
        assert set(form.parts) | form.fresh == set(networks_of(form.method))


def test_the_manifest_holds_no_path(tmp_path: Path) -> None:
    path = save(state_of("zhang-siggraph17"), tmp_path / "siggraph17.pth")
    import_weights("zhang-siggraph17", [path], tmp_path / "out")
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "out" / MANIFEST).read_text()))
