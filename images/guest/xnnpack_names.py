"""XNNPACK's names of operators, such as "Convolution (NHWC, QC8) IGEMM", in TFLite's words."""

from __future__ import annotations

import re

#: XNNPACK writes the types into its operators' names: "Convolution (NHWC, QC8) IGEMM".
XNNPACK_DTYPES = {
    "F16": "float16",
    "F32": "float32",
    "QC8": "int8",
    "QS8": "int8",
    "QU8": "uint8",
    "S16": "int16",
    "S32": "int32",
    "S8": "int8",
    "U8": "uint8",
}
#: XNNPACK's names of operators ("Average Pooling (NHWC, F32)") that do what one TFLite operator does.
XNNPACK_TYPES = {
    "Add": "ADD",
    "Average Pooling": "AVERAGE_POOL_2D",
    "Concatenate": "CONCATENATION",
    "Convolution": "CONV_2D",
    "Deconvolution": "TRANSPOSE_CONV",
    "Fully Connected": "FULLY_CONNECTED",
    "HardSwish": "HARD_SWISH",
    "Max Pooling": "MAX_POOL_2D",
    "Multiply": "MUL",
    "Sigmoid": "LOGISTIC",
    "Softmax": "SOFTMAX",
    "Static Reshape": "RESHAPE",
    "Subtract": "SUB",
    "Tanh": "TANH",
    "Transpose": "TRANSPOSE",
}


def xnnpack_type(tag: str) -> str:
    """XNNPACK's operator under TFLite's name for it, or under its own where there is no such name.

    It is the operator that ran, which may differ from the model's: XNNPACK runs 1x1 convolutions as fully connected.
    """
    operator = tag.split(" (", 1)[0].strip()
    if operator == "Convolution" and "DWConv" in tag:
        return "DEPTHWISE_CONV_2D"
    return XNNPACK_TYPES.get(operator, operator)


def xnnpack_dtype(tag: str) -> str | None:
    """The element type in XNNPACK's name for the operator, if it is one that numpy knows."""
    inside = re.search(r"\(([^)]*)\)", tag)
    words = inside.group(1).replace(" ", "").split(",") if inside else []
    return next((XNNPACK_DTYPES[word] for word in words if word in XNNPACK_DTYPES), None)
