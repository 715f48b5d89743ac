"""Exports the small PyTorch models that the compiler's tests read, and records what PyTorch itself computes.

    python make_models.py torchscript ../resources/models      # as requirements-torchscript.txt says; no GPU, a minute
    python make_models.py dynamo ../resources/models           # as requirements-dynamo.txt says
    python make_models.py quantised ../resources/models        # as requirements-torchscript.txt says

`bin/python-env` makes the environments. The first writes NAME.onnx, the others dynamo/NAME.onnx and
quantised/NAME.onnx. Beside each lies NAME.json; a tensor there is its shape and a flat list of values:

* inputs, outputs: the recorded batch, and the model's outputs by PyTorch; ort_outputs: by ONNX Runtime
* exporter, opset; modules: the keys that named_modules() says; classes: their classes' names
* linears: weight and bias of every Linear
* parameters: every parameter and buffer of every leaf module that has any, by the name in the module
* affine: keys of the modules that are an affine function of what they read, containers included
* folded: the BatchNorms that the exporter folded, each with the module that it went into
* calls: what forward hooks saw of every call of a leaf module with parameters and of an affine container; "inputs"
  if there is more than one
"""

import dataclasses
import json
import pathlib
import sys
import warnings
from importlib import metadata
from typing import Callable

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import container_models as containers
import convolutional_models as convolutional
import language_models as language
import linear_models as linear

BATCH = 3

AFFINE_LEAVES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d, nn.AvgPool2d)
WITHOUT_EFFECT = (nn.Identity, nn.Dropout, nn.Flatten)


@dataclasses.dataclass
class Case:
    """A model to export; every axis in `open_axes` of an input is dynamic. `opset` maps exporters to operator sets."""

    name: str
    model: Callable[[], nn.Module]
    inputs: Callable[[], dict]
    outputs: tuple = ("y",)
    opset: dict = dataclasses.field(default_factory=dict)
    open_axes: dict = dataclasses.field(default_factory=lambda: {0: "batch"})
    open_output_axes: dict = dataclasses.field(default_factory=dict)
    folding: bool = True
    external_data: bool = False
    exporters: tuple = ("torchscript", "dynamo")


def normal(*shape):
    return lambda: {"x": torch.randn(BATCH, *shape)}


def ids(words, tokens):
    return lambda: {"ids": torch.randint(0, words, (BATCH, tokens))}


def transformer_inputs():
    return {"ids": torch.randint(0, 11, (BATCH, 5)), "mask": torch.ones(BATCH, 5)}


def bert_inputs():
    lengths = torch.tensor([6, 4, 2])
    mask = (torch.arange(6)[None, :] < lengths[:, None]).long()
    return {
        "input_ids": torch.randint(1, 17, (BATCH, 6)) * mask,
        "attention_mask": mask,
        "token_type_ids": torch.randint(0, 2, (BATCH, 6)) * mask,
    }


def two_towers_inputs():
    return {
        "profile": torch.randn(BATCH, 5),
        "history": torch.randint(0, 9, (BATCH, 3)),
        "candidate": torch.randint(0, 9, (BATCH,)),
    }


SEQUENCES = {0: "batch", 1: "tokens"}

CASES = [
    Case("nested_sequential", linear.NestedSequential, normal(8)),
    Case("module_list", linear.ModuleListNet, normal(5)),
    Case("module_dict", linear.ModuleDictNet, normal(6), ("y0", "y1")),
    Case("shared_twice", linear.SharedTwice, normal(6)),
    Case("named_lin_1", linear.NamedLin1, normal(6)),
    Case("named_lin_1_once", linear.NamedLin1Once, normal(6)),
    Case("named_lin_1_no_bias", linear.NamedLin1NoBias, normal(6)),
    Case("residual", linear.Residual, normal(4), ("y0", "y1")),
    Case("rank3", linear.Rank3, normal(4, 8)),
    Case("no_bias", linear.NoBias, normal(6)),
    Case("tied_weights", linear.TiedWeights, normal(6)),
    Case("top_level_sequential", linear.sequential, normal(6)),
    Case("layered", linear.Layered, normal(6)),
    Case("conv", linear.Conv, normal(1, 4, 4)),
    Case("only_linear", linear.OnlyLinear, normal(6), ("y0", "y1")),
    Case("functional", linear.Functional, normal(6)),
    Case("shared_block", linear.SharedBlock, normal(6)),
    Case("merged_parameters", linear.MergedParameters, normal(4, 6)),
    Case("tied_head", linear.TiedHead, ids(7, 5)),
    Case("scaled", linear.Scaled, normal(6)),
    Case("unfolded", linear.Rank3, normal(4, 8), folding=False),
    Case("transformer", linear.Transformer, transformer_inputs),
    Case("resnet", convolutional.ResNet, normal(2, 8, 8)),
    Case("conv2d_kinds", convolutional.Conv2dKinds, normal(2, 9, 8)),
    Case("conv1d", convolutional.Conv1dNet, normal(2, 12)),
    Case("auto_encoder", convolutional.AutoEncoder, normal(1, 8, 8), ("y", "code")),
    Case("separate_norms", convolutional.SeparateNorms, normal(2, 4, 4)),
    Case("linear_batch_norm", convolutional.LinearBatchNorm, normal(6)),
    Case("shared_conv", convolutional.SharedConv, normal(3, 4, 4)),
    Case("patch_transformer", convolutional.PatchTransformer, normal(1, 4, 4)),
    Case("containers", containers.Containers, normal(6)),
    Case("conv_containers", containers.ConvContainers, normal(2, 4, 4)),
    Case("two_towers", containers.TwoTowers, two_towers_inputs, ("score", "user", "item")),
    Case("numbered_names", containers.NumberedNames, normal(4)),
    Case("gpt", language.Gpt, ids(13, 5)),
    Case(
        "bert",
        language.Bert,
        bert_inputs,
        ("hidden", "pooled"),
        open_axes=SEQUENCES,
        open_output_axes={"hidden": SEQUENCES},
    ),
    Case("llama", language.Llama, ids(11, 5), open_axes=SEQUENCES, open_output_axes={"y": SEQUENCES}),
    Case("opset13", linear.Transformer, transformer_inputs, opset={"torchscript": 13}, exporters=("torchscript",)),
    Case("opset18", convolutional.Conv1dNet, normal(2, 12), opset={"torchscript": 18, "dynamo": 18}),
    Case("opset23", containers.Containers, normal(6), opset={"dynamo": 23}, exporters=("dynamo",)),
    Case("external_data", linear.NestedSequential, normal(8), external_data=True),
]


def make(case):
    model = case.model()
    # Weights and inputs depend on the name alone, so that adding a model changes no other file.
    torch.manual_seed(sum(case.name.encode()))
    fill(model)
    model.eval()
    return model, case.inputs()


def fill(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=getattr(model, "std", 0.5))
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    if hasattr(model, "fill"):
        model.fill()


def export_by_torchscript(case, model, inputs, path):
    open_axes = {name: open_axes_of(case, value) for name, value in inputs.items()}
    open_axes |= {name: case.open_output_axes.get(name, {0: "batch"}) for name in case.outputs}
    torch.onnx.export(
        model,
        tuple(inputs.values()),
        path,
        input_names=list(inputs),
        output_names=list(case.outputs),
        dynamic_axes=open_axes,
        opset_version=case.opset.get("torchscript", 17),
        do_constant_folding=case.folding,
    )
    if case.external_data:
        onnx.save_model(
            onnx.load(path),
            path,
            save_as_external_data=True,
            all_tensors_to_one_file=True,
            location=path.name + ".data",
            size_threshold=0,
        )


def export_by_dynamo(case, model, inputs, path):
    program = torch.onnx.export(
        model,
        tuple(inputs.values()),
        dynamo=True,
        input_names=list(inputs),
        output_names=list(case.outputs),
        dynamic_shapes=tuple(open_axes_of(case, value) for value in inputs.values()),
        opset_version=case.opset.get("dynamo"),
        verbose=False,
    )
    program.save(path, external_data=case.external_data)
    drop_source_lines(path)


def drop_source_lines(path):
    """Stack traces name files of the machine that exported."""
    model = onnx.load(path, load_external_data=False)
    for node in model.graph.node:
        kept = [entry for entry in node.metadata_props if entry.key != "pkg.torch.onnx.stack_trace"]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    path.write_bytes(model.SerializeToString(deterministic=True))


def open_axes_of(case, value):
    return {axis: name for axis, name in case.open_axes.items() if axis < value.dim()}


def tensor(value):
    value = value.detach()
    values = value.flatten().numpy()
    # The shortest decimal number that reads back as this float.
    numbers = [float(str(x)) for x in values] if value.is_floating_point() else values.tolist()
    return {"shape": list(value.shape), "values": numbers}


def named(names, values):
    values = values if isinstance(values, (tuple, list)) else (values,)
    return {name: tensor(torch.as_tensor(value)) for name, value in zip(names, values, strict=True)}


def own_tensors(module):
    own = dict(module.named_parameters(recurse=False)) | dict(module.named_buffers(recurse=False))
    return {name: value for name, value in own.items() if name != "num_batches_tracked"}


def is_leaf(module):
    return next(module.children(), None) is None


def is_affine(module):
    if isinstance(module, AFFINE_LEAVES) or getattr(module, "affine", None) is True:
        return True
    return isinstance(module, nn.Sequential) and all(
        is_affine(child) or isinstance(child, WITHOUT_EFFECT) for child in module
    )


def watched(module):
    return (is_leaf(module) and bool(own_tensors(module))) or is_affine(module)


def plain(value):
    """Brevitas passes tensors on together with their scales."""
    return getattr(value, "value", value)


def run_recorded(model, inputs, watched=watched):
    """The model's outputs, what the hooks saw, and each BatchNorm that directly follows a module, with that module."""
    calls, makers, follows = [], [], {}

    def hook(module, args, out, key):
        call = {"module": key, "input": tensor(plain(args[0])), "output": tensor(plain(out))}
        if len(args) > 1:
            call["inputs"] = [tensor(arg) for arg in args]
        calls.append(call)
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            makers_of_input = [maker for maker, made in makers if made is args[0]]
            if makers_of_input:
                follows[key] = makers_of_input[0]
        makers.append((key, out))

    hooks = [
        module.register_forward_hook(lambda m, args, out, key=key: hook(m, args, out, key))
        for key, module in model.named_modules()
        if key and watched(module)
    ]
    with torch.no_grad():
        outputs = model(*inputs.values())
    for handle in hooks:
        handle.remove()
    return outputs, calls, follows


def run_in_ort(path, inputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {name: value.numpy() for name, value in inputs.items()})


def is_close(outputs, others, tolerance=1e-5):
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    return all(np.allclose(a.numpy(), b, atol=tolerance) for a, b in zip(outputs, others, strict=True))


def describe(exporter, model, inputs, output_names, path):
    modules = dict(model.named_modules())
    outputs, calls, follows = run_recorded(model, inputs)
    ort_outputs = run_in_ort(path, inputs)
    assert is_close(outputs, ort_outputs), path
    exported = onnx.load(path)
    foldable = (nn.Conv1d, nn.Conv2d) if exporter == "torchscript" else (nn.Conv1d, nn.Conv2d, nn.Linear)
    folded = {norm: to for norm, to in follows.items() if isinstance(modules[to], foldable)}
    norms = sum(isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) for module in modules.values())
    left = sum(node.op_type == "BatchNormalization" for node in exported.graph.node)
    assert left == norms - len(folded), (path, left, norms, folded)
    return {
        "exporter": f"torch {torch.__version__.split('+')[0]}, {exporter}",
        "opset": exported.opset_import[0].version,
        "inputs": named(inputs, list(inputs.values())),
        "outputs": named(output_names, outputs),
        "ort_outputs": named(output_names, ort_outputs),
        "modules": [key for key in modules if key],
        "classes": {key: type(module).__name__ for key, module in modules.items() if key},
        "linears": {
            key: {
                "weight": tensor(module.weight),
                "bias": tensor(module.bias) if module.bias is not None else None,
            }
            for key, module in modules.items()
            if isinstance(module, nn.Linear)
        },
        "parameters": {
            key: {name: tensor(value) for name, value in own_tensors(module).items()}
            for key, module in modules.items()
            if is_leaf(module) and own_tensors(module) and not isinstance(module, nn.Linear)
        },
        "affine": [key for key, module in modules.items() if key and is_affine(module)],
        "folded": folded,
        "calls": calls,
    }


def export_quantised(folder):
    import quantised_models as quantised

    for name, make_quantised in quantised.CASES.items():
        torch.manual_seed(sum(name.encode()))
        model = make_quantised()
        modules = dict(model.named_modules())
        path = folder / f"{name}.onnx"
        while True:
            x = torch.randn(BATCH, *model.record)
            quantised.export(name, model, x, path)
            outputs, calls, _ = run_recorded(model, {"x": x}, is_affine)
            ort_outputs = run_in_ort(path, {"x": x})
            # A value halfway between two integers may round either way: another batch then.
            if is_close(plain(outputs), ort_outputs):
                break
        onnx.checker.check_model(path)
        layers = {key: module for key, module in modules.items() if isinstance(module, (nn.Linear, nn.Conv2d))}
        weights = {
            key: {
                "weight": tensor(quantised.effective_weight(module)),
                "bias": tensor(module.bias) if module.bias is not None else None,
            }
            for key, module in layers.items()
        }
        write(
            path.with_suffix(".json"),
            {
                "exporter": f"torch {torch.__version__.split('+')[0]}, torchscript"
                + (f", brevitas {metadata.version('brevitas')}" if name.startswith("brevitas") else ""),
                "opset": onnx.load(path).opset_import[0].version,
                "inputs": {"x": tensor(x)},
                "outputs": named(["y"], plain(outputs)),
                "ort_outputs": named(["y"], ort_outputs),
                "modules": [key for key in modules if key],
                "classes": {key: type(module).__name__ for key, module in modules.items() if key},
                "linears": {key: value for key, value in weights.items() if isinstance(modules[key], nn.Linear)},
                "parameters": {key: value for key, value in weights.items() if isinstance(modules[key], nn.Conv2d)},
                "affine": list(layers),
                "folded": {},
                "calls": calls,
                **quantised.quantisation(model, modules, tensor),
            },
        )
        print(path.name)


def write(path, facts):
    path.write_text(json.dumps(facts, separators=(",", ":")) + "\n")


def main(exporter, folder):
    warnings.filterwarnings("ignore")
    if exporter != "torchscript":
        folder = folder / exporter
    folder.mkdir(parents=True, exist_ok=True)
    if exporter == "quantised":
        export_quantised(folder)
        return
    export = {"torchscript": export_by_torchscript, "dynamo": export_by_dynamo}[exporter]
    # The fused encoder layer of inference calls no hooks.
    torch.backends.mha.set_fastpath_enabled(False)
    for case in CASES:
        if exporter in case.exporters:
            model, inputs = make(case)
            path = folder / f"{case.name}.onnx"
            export(case, model, inputs, path)
            onnx.checker.check_model(path)
            write(path.with_suffix(".json"), describe(exporter, model, inputs, case.outputs, path))
            print(path.name)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]))
