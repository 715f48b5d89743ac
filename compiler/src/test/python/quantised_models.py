"""Models trained with quantisation, as Brevitas and PyTorch export them: integers, scales and zero points are recorded.

The JSON has, beside what make_models.py lists, quantised: for each affine module its weight's integers, scale (one, or
one per output channel), zero point and bits, and activations: the same for each tensor that a module quantises.
"linears" and "parameters" hold the weights that these integers stand for.
"""

import brevitas.nn as qnn
import torch
from brevitas.export import export_onnx_qcdq
from brevitas.quant import Int8WeightPerChannelFloat, ShiftedUint8ActPerTensorFloat
from torch import nn
from torch.ao import quantization

BATCH = 3
TRAINING_STEPS = 10
TRAINING_BATCH = 64


class BrevitasMlp(nn.Module):
    """4-bit weights with one scale a layer, activations of 8 and of 4 bits."""

    def __init__(self):
        super().__init__()
        self.inp = qnn.QuantIdentity(bit_width=8, return_quant_tensor=True)
        self.fc1 = qnn.QuantLinear(6, 8, bias=True, weight_bit_width=4)
        self.act1 = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.fc2 = qnn.QuantLinear(8, 5, bias=True, weight_bit_width=4)
        self.act2 = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.fc3 = qnn.QuantLinear(5, 3, bias=False, weight_bit_width=4)

    def forward(self, x):
        return self.fc3(self.act2(self.fc2(self.act1(self.fc1(self.inp(x))))))


class BrevitasCnn(nn.Module):
    """One scale per output channel, 4 and 3 bits; the input has a zero point, for it is quantised asymmetrically."""

    def __init__(self):
        super().__init__()
        per_channel = {"weight_quant": Int8WeightPerChannelFloat}
        self.inp = qnn.QuantIdentity(act_quant=ShiftedUint8ActPerTensorFloat, return_quant_tensor=True)
        self.conv = qnn.QuantConv2d(1, 4, 3, padding=1, bias=True, weight_bit_width=4, **per_channel)
        self.act1 = qnn.QuantReLU(bit_width=5, return_quant_tensor=True)
        self.depthwise = qnn.QuantConv2d(4, 4, 2, stride=2, groups=4, bias=False, weight_bit_width=3, **per_channel)
        self.act2 = qnn.QuantReLU(bit_width=5, return_quant_tensor=True)
        self.fc = qnn.QuantLinear(16, 3, bias=True, weight_bit_width=3, **per_channel)

    def forward(self, x):
        x = self.act2(self.depthwise(self.act1(self.conv(self.inp(x)))))
        return self.fc(x.flatten(1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.fc1 = nn.Linear(6, 8)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(self.relu(self.fc1(self.quant(x))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.quant = quantization.QuantStub()
        self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(16, 3)

    def forward(self, x):
        return self.fc(self.relu(self.conv(self.quant(x))).flatten(1))


def brevitas_case(model):
    train(model)
    model.eval()
    return model


def pytorch_case(model, per_channel):
    """Quantisation-aware training in PyTorch: every fake quantiser becomes QuantizeLinear and DequantizeLinear."""
    weight = quantization.FakeQuantize.with_args(
        observer=(
            quantization.MovingAveragePerChannelMinMaxObserver
            if per_channel
            else quantization.MovingAverageMinMaxObserver
        ),
        quant_min=-128,
        quant_max=127,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
    )
    activation = quantization.FakeQuantize.with_args(
        observer=quantization.MovingAverageMinMaxObserver, quant_min=0, quant_max=255, dtype=torch.quint8
    )
    model.qconfig = quantization.QConfig(activation=activation, weight=weight)
    quantization.prepare_qat(model.train(), inplace=True)
    train(model)
    model.apply(quantization.disable_observer)
    return model.eval()


def train(model):
    """Runs the model on random batches, so that scales settle."""
    with torch.no_grad():
        for _ in range(TRAINING_STEPS):
            model(torch.randn(TRAINING_BATCH, *model.record))


def build(factory, record):
    model = factory()
    model.record = record
    for name, parameter in model.named_parameters():
        if name.endswith((".weight", ".bias")):
            nn.init.normal_(parameter, std=0.5)
    return model


CASES = {
    "brevitas_mlp": lambda: brevitas_case(build(BrevitasMlp, (6,))),
    "brevitas_cnn": lambda: brevitas_case(build(BrevitasCnn, (1, 4, 4))),
    "pytorch_per_tensor": lambda: pytorch_case(build(Mlp, (6,)), per_channel=False),
    "pytorch_per_channel": lambda: pytorch_case(build(Cnn, (1, 4, 4)), per_channel=True),
}


def export(name, model, x, path):
    options = {
        "input_names": ["x"],
        "output_names": ["y"],
        "dynamic_axes": {"x": {0: "batch"}, "y": {0: "batch"}},
        "opset_version": 17,
    }
    if name.startswith("brevitas"):
        export_onnx_qcdq(model, args=x, export_path=str(path), **options)
    else:
        torch.onnx.export(model, (x,), path, **options)


def quantised_weight(module):
    """Integers, scale, zero point, bits and signedness of a layer's weight."""
    if hasattr(module, "weight_fake_quant"):
        fake = module.weight_fake_quant
        scale, zero_point = fake.scale.detach(), fake.zero_point
        shape = [-1] + [1] * (module.weight.dim() - 1) if scale.numel() > 1 else []
        integers = torch.round(module.weight.detach() / scale.reshape(shape)) + zero_point.reshape(shape)
        return integers.clamp(fake.quant_min, fake.quant_max).int(), scale.flatten(), zero_point.flatten(), 8, True
    weight = module.quant_weight()
    return (
        weight.int().int(),
        weight.scale.detach().flatten(),
        weight.zero_point.detach().flatten().int(),
        int(weight.bit_width),
        bool(weight.signed),
    )


def quantised_activation(module):
    """Scale, zero point, bits and signedness of what a module quantises its output to; None if it does not."""
    if isinstance(module, (qnn.QuantIdentity, qnn.QuantReLU)):
        quantiser = module.act_quant
        return quantiser.scale(), quantiser.zero_point(), int(quantiser.bit_width()), bool(quantiser.is_signed)
    fake = getattr(module, "activation_post_process", None)
    if not isinstance(fake, quantization.FakeQuantize):
        return None
    return fake.scale, fake.zero_point, 8, False


def quantisation(model, modules, tensor):
    weights, activations = {}, {}
    for key, module in modules.items():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            integers, scale, zero_point, bits, signed = quantised_weight(module)
            weights[key] = {
                "integers": tensor(integers),
                "scale": tensor(scale),
                "zero_point": tensor(zero_point),
                "bits": bits,
                "signed": signed,
            }
        activation = quantised_activation(module)
        if activation is not None:
            scale, zero_point, bits, signed = activation
            activations[key] = {
                "scale": tensor(scale.flatten()),
                "zero_point": tensor(zero_point.flatten().int()),
                "bits": bits,
                "signed": signed,
            }
    return {"quantised": weights, "activations": activations}


def effective_weight(module):
    integers, scale, zero_point, _, _ = quantised_weight(module)
    shape = [-1] + [1] * (integers.dim() - 1) if scale.numel() > 1 else []
    return (integers - zero_point.reshape(shape)) * scale.reshape(shape)
