"""A second, slow, obviously right interpreter of ML Programs, in plain numpy and float64.

It shares no code with the runtime wing: Google's protobuf reads the file, the weights are read
here, and each operation is written from the MIL op reference once more.
"""

# Operations are called with the parameter names of MIL, which numpy functions do not have.
# ruff: noqa: PLW0108, ARG001, ARG005

from __future__ import annotations

import itertools
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

_NUMPY = {1: "?", 10: "f2", 11: "f4", 21: "i1", 22: "i2", 23: "i4", 31: "u1", 32: "u2", 33: "u4"}
_BITS = {25: 4, 35: 4, 36: 2, 37: 1, 38: 6, 39: 3}
_CASTS = {"fp16": float, "fp32": float, "int32": np.int32, "bool": bool}


def interpret(model, weights: Path, inputs: dict[str, np.ndarray], *, half: bool) -> dict[str, Any]:
    """All values of a program, by name; with `half`, float16 results are rounded to float16."""
    function = model.mlProgram.functions["main"]
    values: dict[str, Any] = {name: widened(array) for name, array in inputs.items()}
    for operation in function.block_specializations[function.opset].operations:
        parameters = {
            name: [
                values[binding.name]
                if binding.WhichOneof("binding") == "name"
                else constant(binding.value, weights)
                for binding in argument.arguments
            ]
            for name, argument in operation.inputs.items()
        }
        for name, value in operation.attributes.items():
            if name != "name":
                parameters[name] = [constant(value, weights)]
        if operation.type == "const":
            results = parameters["val"]
        elif operation.type == "classify":
            results = [None, parameters["probabilities"][0]]
        else:
            listed = {"values"}
            given = {k: v if k in listed else v[0] for k, v in parameters.items()}
            given |= {"outputs": len(operation.outputs)} if operation.type == "split" else {}
            done = OPERATIONS[operation.type](**given)
            results = done if isinstance(done, list) else [done]
        for output, result in zip(operation.outputs, results, strict=True):
            tensor = output.type.tensorType
            values[output.name] = result
            if operation.type != "classify" and isinstance(result, np.ndarray):
                shape = tuple(d.constant.size for d in tensor.dimensions)
                assert result.shape == shape, (operation.type, result.shape, shape)
                if half and tensor.dataType == 10:
                    with np.errstate(over="ignore"):
                        values[output.name] = widened(result.astype(np.float16))
    return values


def widened(array):
    array = np.asarray(array)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


def constant(value, weights: Path):
    if value.type.WhichOneof("type") == "listType":
        return [constant(item, weights) for item in value.immediateValue.list.values]
    tensor = value.type.tensorType
    shape = [dimension.constant.size for dimension in tensor.dimensions]
    if value.WhichOneof("value") == "blobFileValue":
        return from_bytes(blob(value.blobFileValue, weights), tensor.dataType, shape)
    held = value.immediateValue.tensor
    field = held.WhichOneof("value")
    numbers = getattr(held, field).values
    if field == "bytes":
        return from_bytes(numbers, tensor.dataType, shape)
    if field == "strings":
        return numbers[0]
    return widened(np.array(list(numbers), _NUMPY[tensor.dataType]).reshape(shape))


def blob(reference, weights: Path) -> bytes:
    data = (weights / reference.fileName.rsplit("/", 1)[1]).read_bytes()
    _, _, size, start, _ = struct.unpack_from("<IIQQQ", data, reference.offset)
    return data[start : start + size]


def from_bytes(data: bytes, code: int, shape):
    if code in _NUMPY:
        return widened(np.frombuffer(data, _NUMPY[code]).reshape(shape))
    bits = _BITS[code]
    whole = int.from_bytes(data, "little")
    numbers = [(whole >> (bits * i)) & (2**bits - 1) for i in range(math.prod(shape))]
    if code == 25:
        numbers = [number - 16 if number >= 8 else number for number in numbers]
    return np.array(numbers, np.int8 if code == 25 else np.uint8).reshape(shape)


def padding(x, kernel, strides, pad_type, pad, dilations=None):
    dilations = np.ones(len(kernel), int) if dilations is None else dilations
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    if pad_type == "custom":
        return [(int(a), int(b)) for a, b in zip(pad[0::2], pad[1::2], strict=True)]
    if pad_type == "valid":
        return [(0, 0)] * len(kernel)
    pairs = []
    for size, window, stride in zip(x.shape[2:], reach, strides, strict=True):
        total = max((math.ceil(size / stride) - 1) * int(stride) + window - size, 0)
        small, large = total // 2, total - total // 2
        pairs.append((small, large) if pad_type == "same" else (large, small))
    return pairs


def windows(x, kernel, strides, dilations, counts):
    """For every place in the kernel, what lies under it for every place of the result."""
    for place in itertools.product(*map(range, kernel)):
        cuts = tuple(
            slice(p * d, p * d + (c - 1) * s + 1, s)
            for p, d, s, c in zip(place, dilations, strides, counts, strict=True)
        )
        yield place, x[(slice(None), slice(None), *cuts)]


def conv(x, weight, pad_type="valid", strides=None, pad=None, dilations=None, groups=1, bias=None):
    axes = x.ndim - 2
    kernel = weight.shape[2:]
    strides = [1] * axes if strides is None else strides
    dilations = [1] * axes if dilations is None else dilations
    pairs = padding(x, kernel, strides, pad_type, pad, dilations)
    x = np.pad(x, [(0, 0), (0, 0), *pairs])
    counts = [
        (n - (k - 1) * d - 1) // s + 1
        for n, k, d, s in zip(x.shape[2:], kernel, dilations, strides, strict=True)
    ]
    groups = int(groups)
    grouped = weight.reshape(groups, -1, *weight.shape[1:])
    total = 0
    for place, under in windows(x, kernel, strides, dilations, counts):
        parts = under.reshape(under.shape[0], groups, -1, *counts)
        total = total + np.einsum("ngi...,goi->ngo...", parts, grouped[(..., *place)])
    result = total.reshape(x.shape[0], -1, *counts)
    return result if bias is None else result + bias.reshape(-1, *[1] * axes)


def conv_transpose(
    x, weight, pad_type="valid", strides=None, pad=None, dilations=None, groups=1, bias=None,
    output_shape=None,
):  # fmt: skip
    axes, groups = x.ndim - 2, int(groups)
    strides = [1] * axes if strides is None else strides
    dilations = [1] * axes if dilations is None else dilations
    kernel = weight.shape[2:]
    whole = [
        (n - 1) * s + (k - 1) * d + 1
        for n, k, s, d in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    result = np.zeros((len(x), weight.shape[1] * groups, *whole), x.dtype)
    parts = np.split(x, groups, axis=1)
    for place in np.ndindex(*kernel):
        ws = np.split(weight[(..., *place)], groups)
        added = [np.einsum("ni...,io->no...", p, w) for p, w in zip(parts, ws, strict=True)]
        under = [
            slice(q * d, q * d + (n - 1) * s + 1, s)
            for q, d, n, s in zip(place, dilations, x.shape[2:], strides, strict=True)
        ]
        result[(..., *under)] += np.concatenate(added, axis=1)
    for axis in range(axes):
        length = whole[axis]
        if pad_type == "same":
            first = (length - x.shape[2 + axis] * strides[axis]) // 2
            last = first + x.shape[2 + axis] * strides[axis]
        elif pad_type == "custom":
            first, last = pad[2 * axis], length - pad[2 * axis + 1]
        else:
            first, last = 0, length
        result = result.take(np.arange(first, last), axis=2 + axis)
    assert output_shape is None or tuple(output_shape) == result.shape
    return result if bias is None else result + bias.reshape(-1, *[1] * axes)


def pool(x, kernel_sizes, filler, pad_type, strides=None, pad=None, ceil_mode=False):
    axes = x.ndim - 2
    strides = [1] * axes if strides is None else strides
    pairs, counts = [], []
    given = padding(x, kernel_sizes, strides, pad_type, pad)
    for n, k, s, (a, b) in zip(x.shape[2:], kernel_sizes, strides, given, strict=True):
        places = (n + a + b - k) / s
        count = (math.ceil(places) if ceil_mode else math.floor(places)) + 1
        if ceil_mode and (count - 1) * s >= n + a and a + b > 0:
            count -= 1
        pairs.append((a, max(b, int((count - 1) * s + k - n - a))))
        counts.append(int(count))
    x = np.pad(x, [(0, 0), (0, 0), *pairs], constant_values=filler)
    return np.stack([u for _, u in windows(x, kernel_sizes, strides, [1] * axes, counts)])


def max_pool(x, kernel_sizes, **where):
    return pool(x, kernel_sizes, -np.inf, **where).max(0)


def avg_pool(x, kernel_sizes, exclude_padding_from_average=False, **where):
    sums = pool(x, kernel_sizes, 0.0, **where).sum(0)
    if exclude_padding_from_average:
        return sums / pool(np.ones_like(x), kernel_sizes, 0.0, **where).sum(0)
    return sums / np.prod(kernel_sizes)


def batch_norm(x, mean, variance, gamma=1.0, beta=0.0, epsilon=1e-5):
    def along(v):
        return np.reshape(v, (1, -1, *[1] * (x.ndim - 2)))

    return along(gamma) * (x - along(mean)) / np.sqrt(along(variance) + epsilon) + along(beta)


def instance_norm(x, gamma=1.0, beta=0.0, epsilon=1e-5):
    axes = tuple(range(2, x.ndim))
    mean, variance = x.mean(axes), x.var(axes)
    return np.stack(
        [batch_norm(x[[i]], mean[i], variance[i], gamma, beta, epsilon)[0] for i in range(len(x))]
    )


def layer_norm(x, axes=None, gamma=None, beta=None, epsilon=1e-5):
    axes = tuple(range(x.ndim)) if axes is None else tuple(int(a) % x.ndim for a in axes)
    shape = [n if a in axes else 1 for a, n in enumerate(x.shape)]
    y = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)
    y = y if gamma is None else y * gamma.reshape(shape)
    return y if beta is None else y + beta.reshape(shape)


def gelu(x, mode="EXACT"):
    if mode == "EXACT":
        return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
    if mode == "SIGMOID_APPROXIMATION":
        return x / (1 + np.exp(-1.702 * x))
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def softmax(x, axis=-1):
    e = np.exp(x - x.max(int(axis), keepdims=True))
    return e / e.sum(int(axis), keepdims=True)


def prelu(x, alpha):
    return np.where(x > 0, x, x * alpha.reshape(-1, *[1] * (x.ndim - 2)))


def matmul(x, y, transpose_x=False, transpose_y=False):
    x = np.swapaxes(x, -1, -2) if transpose_x else x
    return x @ (np.swapaxes(y, -1, -2) if transpose_y else y)


def attention(query, key, value, attn_mask=None):
    scores = query @ np.swapaxes(key, -1, -2) / math.sqrt(query.shape[-1])
    if attn_mask is not None and attn_mask.dtype == bool:
        scores = np.where(attn_mask, scores, -np.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return softmax(scores) @ value


def reshape(x, shape):
    # The meaning that holds since iOS 17 and agrees with the older one at equal ranks.
    kept = [1] * max(len(shape) - x.ndim, 0) + list(x.shape[max(x.ndim - len(shape), 0) :])
    return x.reshape([int(k if s == 0 else s) for s, k in zip(shape, kept, strict=True)])


def expand_dims(x, axes):
    return np.expand_dims(x, tuple(int(axis) for axis in axes))


def squeeze(x, axes=None):
    axes = range(x.ndim) if axes is None else [int(axis) % x.ndim for axis in axes]
    return np.squeeze(x, tuple(axis for axis in axes if x.shape[axis] == 1))


def slice_by_index(x, begin, end, stride=None, begin_mask=None, end_mask=None, squeeze_mask=None):
    cuts: list[Any] = []
    for axis in range(x.ndim):
        first = None if begin_mask is not None and begin_mask[axis] else int(begin[axis])
        last = None if end_mask is not None and end_mask[axis] else int(end[axis])
        step = 1 if stride is None else int(stride[axis])
        single = squeeze_mask is not None and squeeze_mask[axis]
        cuts.append((first or 0) if single else slice(first, last, step))
    return x[tuple(cuts)]


def slice_by_size(x, begin, size):
    starts = [int(b) % n for b, n in zip(begin, x.shape, strict=True)]
    return x[tuple(slice(b, None if s == -1 else b + s) for b, s in zip(starts, size, strict=True))]


def concat(values, axis, interleave=False):
    if not interleave:
        return np.concatenate(values, int(axis))
    stacked = np.stack(values, int(axis) % values[0].ndim + 1)
    shape = list(values[0].shape)
    shape[int(axis)] *= len(values)
    return stacked.reshape(shape)


def split(x, axis, outputs, num_splits=None, split_sizes=None):
    places = outputs if split_sizes is None else np.cumsum(split_sizes)[:-1]
    return np.split(x, places, int(axis))


def pad(x, pad, mode="constant", constant_val=0.0):
    pairs = [(0, 0)] * (x.ndim - len(pad) // 2) + list(zip(pad[0::2], pad[1::2], strict=True))
    if mode == "constant":
        return np.pad(x, pairs, constant_values=constant_val)
    return np.pad(x, pairs, mode={"reflect": "reflect", "replicate": "edge"}[mode])


def gather(x, indices, axis=0, batch_dims=0, validate_indices=False):
    assert not batch_dims
    return np.take(x, indices, int(axis))


def scatter(data, indices, updates, axis=0, mode="update", validate_indices=False):
    result = np.moveaxis(data.copy(), int(axis), 0)
    for index, update in zip(indices, np.moveaxis(updates, int(axis), 0), strict=True):
        old = result[index]
        result[index] = {
            "update": update,
            "add": old + update,
            "mul": old * update,
            "max": np.maximum(old, update),
            "min": np.minimum(old, update),
        }[mode]
    return np.moveaxis(result, 0, int(axis))


def bilinear(
    x,
    scale_factor_height=1.0,
    scale_factor_width=1.0,
    align_corners=True,
    half_pixel_centers=None,
):
    for axis, factor in ((-2, scale_factor_height), (-1, scale_factor_width)):
        size = x.shape[axis]
        count = int(size * factor)
        if align_corners:
            places = np.arange(count) * ((size - 1) / max(count - 1, 1))
        else:
            places = (np.arange(count) + 0.5) * (size / count) - 0.5
        places = np.clip(places, 0, size - 1)
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, size - 1)
        part = (places - low).reshape(-1, *[1] * (-axis - 1))
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def nearest(x, scale_factor_height=1, scale_factor_width=1):
    return np.repeat(np.repeat(x, int(scale_factor_height), -2), int(scale_factor_width), -1)


def pixel_shuffle(x, upscale_factor):
    n, c, h, w = x.shape
    f = int(upscale_factor)
    parts = x.reshape(n, c // f**2, f, f, h, w).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(n, c // f**2, h * f, w * f)


def reduction(function):
    def reduce(x, axes=None, keep_dims=False):
        axes = None if axes is None else tuple(int(axis) for axis in axes)
        return np.asarray(function(x, axis=axes, keepdims=bool(keep_dims)))

    return reduce


def blockwise(data, scale, offset=0.0):
    result = np.empty(data.shape)
    for place in np.ndindex(*data.shape):
        block = tuple(p * s // n for p, s, n in zip(place, scale.shape, data.shape, strict=True))
        shift = offset[block] if np.ndim(offset) else offset
        result[place] = scale[block] * (float(data[place]) - float(shift))
    return result


def affine(quantized_data, zero_point, scale, axis):
    shape = [1] * quantized_data.ndim
    shape[int(axis)] = -1
    full = [np.reshape(v, shape) if np.ndim(v) else v for v in (zero_point, scale)]
    return (quantized_data.astype(float) - np.asarray(full[0], float)) * full[1]


def bits(data, width, count):
    whole = int.from_bytes(data.astype(np.uint8).tobytes(), "little")
    return np.array([(whole >> (width * i)) & (2**width - 1) for i in range(count)])


def lut_to_dense(indices, lut, shape=None, vector_axis=None):
    if shape is not None:
        width = int(math.log2(lut.size))
        return lut[bits(indices, width, int(np.prod(shape)))].reshape(shape)
    axis = indices.ndim - 1 if vector_axis is None else int(vector_axis)
    wide = list(indices.shape)
    wide[axis] *= lut.shape[-1]
    result = np.empty(wide)
    for place in np.ndindex(*indices.shape):
        block = tuple(p * t // n for p, t, n in zip(place, lut.shape, indices.shape, strict=False))
        for i, entry in enumerate(lut[block][indices[place]]):
            where = list(place)
            where[axis] = place[axis] * lut.shape[-1] + i
            result[tuple(where)] = entry
    return result


def sparse_to_dense(nonzero_data, mask, shape=None):
    if shape is not None:
        mask = bits(mask, 1, int(np.prod(shape))).reshape(shape)
    result = np.zeros(mask.shape, nonzero_data.dtype)
    result[mask != 0] = nonzero_data
    return result


def lut_to_sparse(indices_mask, indices_nonzero_data, lut, vector_axis=None):
    indices = sparse_to_dense(indices_nonzero_data, indices_mask)
    axis = indices.ndim - 1 if vector_axis is None else int(vector_axis)
    mask = np.repeat(indices_mask, lut.shape[-1], axis)
    return [mask, lut_to_dense(indices, lut, vector_axis=vector_axis)[mask != 0]]


def sparse_blockwise(data_mask, nonzero_data, scale, offset=0.0):
    dense = blockwise(sparse_to_dense(nonzero_data, data_mask), scale, offset)
    return [data_mask, dense[data_mask != 0]]


OPERATIONS = {
    "abs": lambda x: np.abs(x),
    "add": lambda x, y: x + y,
    "avg_pool": avg_pool,
    "batch_norm": batch_norm,
    "cast": lambda x, dtype: np.asarray(x).astype(_CASTS[dtype]),
    "ceil": lambda x: np.ceil(x),
    "clamped_relu": lambda x, alpha, beta: np.minimum(np.where(x >= 0, x, alpha * x), beta),
    "clip": lambda x, alpha, beta: np.minimum(np.maximum(x, alpha), beta),
    "concat": concat,
    "constexpr_affine_dequantize": affine,
    "constexpr_blockwise_shift_scale": blockwise,
    "constexpr_cast": lambda source_val, output_dtype: source_val,
    "constexpr_lut_to_dense": lut_to_dense,
    "constexpr_lut_to_sparse": lut_to_sparse,
    "constexpr_sparse_blockwise_shift_scale": sparse_blockwise,
    "constexpr_sparse_to_dense": sparse_to_dense,
    "conv": conv,
    "conv_transpose": conv_transpose,
    "cos": lambda x: np.cos(x),
    "einsum": lambda values, equation: np.einsum(equation, *values),
    "elu": lambda x, alpha: np.where(x > 0, x, alpha * (np.exp(x) - 1)),
    "equal": lambda x, y: x == y,
    "erf": lambda x: np.vectorize(math.erf)(x),
    "exp": lambda x: np.exp(x),
    "expand_dims": expand_dims,
    "floor": lambda x: np.floor(x),
    "gather": gather,
    "gelu": gelu,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "identity": lambda x: x,
    "instance_norm": instance_norm,
    "inverse": lambda x, epsilon=1e-4: 1 / (x + epsilon),
    "l2_norm": lambda x, epsilon=1e-6: (
        x / np.sqrt((x**2).sum((-3, -2, -1), keepdims=True) + epsilon)
    ),
    "layer_norm": layer_norm,
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, alpha * x),
    "less": lambda x, y: x < y,
    "less_equal": lambda x, y: x <= y,
    "linear": lambda x, weight, bias=0.0: x @ weight.T + bias,
    "linear_activation": lambda x, alpha, beta: alpha * x + beta,
    "log": lambda x, epsilon=1e-45: np.log(x + epsilon),
    "logical_and": lambda x, y: x & y,
    "logical_not": lambda x: ~x,
    "logical_or": lambda x, y: x | y,
    "logical_xor": lambda x, y: x ^ y,
    "matmul": matmul,
    "max_pool": max_pool,
    "maximum": lambda x, y: np.maximum(x, y),
    "minimum": lambda x, y: np.minimum(x, y),
    "mul": lambda x, y: x * y,
    "not_equal": lambda x, y: x != y,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "pow": lambda x, y: x**y,
    "prelu": prelu,
    "real_div": lambda x, y: x / y,
    "reduce_l1_norm": reduction(lambda x, **k: np.abs(x).sum(**k)),
    "reduce_l2_norm": reduction(lambda x, **k: np.sqrt((x**2).sum(**k))),
    "reduce_log_sum_exp": reduction(lambda x, **k: np.log(np.exp(x).sum(**k))),
    "reduce_max": reduction(np.max),
    "reduce_mean": reduction(np.mean),
    "reduce_min": reduction(np.min),
    "reduce_prod": reduction(np.prod),
    "reduce_sum": reduction(np.sum),
    "reduce_sum_square": reduction(lambda x, **k: (x**2).sum(**k)),
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "reshape": reshape,
    "reverse": lambda x, axes=None: np.flip(x, None if axes is None else tuple(axes)),
    "round": lambda x: np.round(x),
    "rsqrt": lambda x, epsilon=1e-12: 1 / np.sqrt(x + epsilon),
    "scaled_dot_product_attention": attention,
    "scaled_tanh": lambda x, alpha, beta: alpha * np.tanh(beta * x),
    "scatter": scatter,
    "select": lambda cond, a, b: np.where(cond, a, b),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "sigmoid_hard": lambda x, alpha, beta: np.clip(alpha * x + beta, 0, 1),
    "sign": lambda x: np.sign(x),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "sin": lambda x: np.sin(x),
    "slice_by_index": slice_by_index,
    "slice_by_size": slice_by_size,
    "softmax": softmax,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "split": split,
    "sqrt": lambda x: np.sqrt(x),
    "square": lambda x: x * x,
    "squeeze": squeeze,
    "stack": lambda values, axis: np.stack(values, int(axis)),
    "sub": lambda x, y: x - y,
    "tanh": lambda x: np.tanh(x),
    "threshold": lambda x, alpha: np.maximum(x, alpha),
    "thresholded_relu": lambda x, alpha: np.where(x >= alpha, x, 0),
    "tile": lambda x, reps: np.tile(x, reps),
    "transpose": lambda x, perm: np.transpose(x, [int(axis) for axis in perm]),
    "upsample_bilinear": bilinear,
    "upsample_nearest_neighbor": nearest,
}
