"""What runtimes really said, and what each is to be taken for."""

from __future__ import annotations

SMALLER = "use a smaller model or input, quantise it, or take a device with more RAM"

# (text, check, what the fix says, operator)
MESSAGES = {
    "tensorflow 54321": (
        (
            "Regular TensorFlow ops are not supported by this interpreter. Make sure you apply/link the Flex delegate "
            "before inference.Node number 29 (FlexRFFT) failed to prepare."
        ),
        "operators",
        "convert with TFLITE_BUILTINS only, or replace FlexRFFT: this build has no Flex delegate",
        "FlexRFFT",
    ),
    "the same since tensorflow 2.9": (
        (
            "Select TensorFlow op(s), included in the given model, is(are) not supported by this interpreter. "
            "Make sure you apply/link the Flex delegate before inference. For the Android, it can be resolved by "
            'adding "org.tensorflow:tensorflow-lite-select-tf-ops" dependency. See instructions: '
            "https://www.tensorflow.org/lite/guide/ops_selectNode number 7 (FlexErf) failed to prepare."
        ),
        "operators",
        "convert with TFLITE_BUILTINS only, or replace FlexErf: this build has no Flex delegate",
        "FlexErf",
    ),
    "tensorflow 43232": (
        "Didn't find op for builtin opcode 'CONV_2D' version '5'\nRegistration failed.\n",
        "operators",
        "convert with an older converter or use a newer runtime: CONV_2D version 5 is not in this build",
        "CONV_2D",
    ),
    "tensorflow 80736": (
        (
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version of this builtin "
            "might be supported. Are you using an old TFLite binary with a newer model?"
        ),
        "operators",
        "convert with an older converter or use a newer runtime: FULLY_CONNECTED version 12 is not in this build",
        "FULLY_CONNECTED",
    ),
    "tflite-micro 1794": (
        (
            "Didn't find op for builtin opcode 'PAD' version '2'. An older version of this builtin might be supported. "
            "Are you using an old TFLite binary with a newer model?\nFailed to get registration from op code "
        ),
        "operators",
        "convert with an older converter or use a newer runtime: PAD version 2 is not in this build",
        "PAD",
    ),
    "without a version": (
        "Didn't find op for builtin opcode 'PAD'",
        "operators",
        "convert with an older converter or use a newer runtime: PAD version ? is not in this build",
        "PAD",
    ),
    "custom operator": (
        (
            "Encountered unresolved custom op: TFLite_Detection_PostProcess.\nSee instructions: "
            "https://www.tensorflow.org/lite/guide/ops_custom Node number 63 failed to prepare."
        ),
        "operators",
        "link the custom operator TFLite_Detection_PostProcess into the runtime, or convert without it",
        "TFLite_Detection_PostProcess",
    ),
    "onnxruntime 20559": (
        (
            "[ONNXRuntimeError] : 1 : FAIL : Load model from model.onnx failed:/onnxruntime_src/onnxruntime/core/graph/"
            "model.cc:150 onnxruntime::Model::Model(...) Unsupported model IR version: 10, max supported IR version: 9"
        ),
        "operators",
        "save the model with IR version 9 (model.ir_version = 9), or use a newer onnxruntime",
        None,
    ),
    "onnxruntime kernel": (
        (
            "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for ConvInteger(10) node with "
            "name 'Conv_0_quant'"
        ),
        "operators",
        "ConvInteger is not in this build for the given types and opset: export with another opset or a newer runtime",
        "ConvInteger",
    ),
    "onnxruntime opset": (
        "[ONNXRuntimeError] : 1 : FAIL : No Op registered for LayerNormalization with domain_version of 14",
        "operators",
        (
            "LayerNormalization is not in this build for the given types and opset: export with another opset or a "
            "newer runtime"
        ),
        "LayerNormalization",
    ),
    "onnxruntime custom operator": (
        (
            "[ONNXRuntimeError] : 10 : INVALID_GRAPH : This is an invalid model. In Node, Error Node (n) has "
            "com.acme:BeamSearch(1) is not a registered function/op"
        ),
        "operators",
        "BeamSearch is unknown to this build: register its custom-operator library, or export without it",
        "BeamSearch",
    ),
    "azure-iot-edge-cv-model-samples 1": (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc",
        "memory",
        SMALLER,
        None,
    ),
    "onnxruntime arena": (
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 16384",
        "memory",
        SMALLER,
        None,
    ),
    "numpy": ("Unable to allocate 3.00 GiB for an array with shape (805306368,)", "memory", SMALLER, None),
    "tflite-micro 1458": (
        "Failed to allocate tail memory. Requested: 2088, available 1552, missing: 536",
        "memory",
        SMALLER,
        None,
    ),
    "tensorflow 39673": (
        "Failed to allocate memory. Requested: 400, available 264, missing: 136",
        "memory",
        SMALLER,
        None,
    ),
    "himax_tflm 18": (
        "Arena size is too small for all buffers. Needed 212064 but only 191120 was available.",
        "memory",
        SMALLER,
        None,
    ),
    "BirdNET-Pi 314": (
        "A module that was compiled using NumPy 1.x cannot be run in NumPy 2.1.0 as it may crash.",
        "abi",
        "install numpy<2 beside this runtime",
        None,
    ),
    "the same, as an attribute": ("_ARRAY_API not found", "abi", "install numpy<2 beside this runtime", None),
    "the same, as an import": (
        "numpy.core.multiarray failed to import",
        "abi",
        "install numpy<2 beside this runtime",
        None,
    ),
    "ai-edge-litert on Debian 11": (
        (
            "/lib/aarch64-linux-gnu/libstdc++.so.6: version `GLIBCXX_3.4.30' not found (required by "
            "/opt/ai-edge-litert-2.3.0/ai_edge_litert/libpywrap_litert_common.so)"
        ),
        "abi",
        "choose a runtime version built for this OS release: it lacks GLIBCXX_3.4.30",
        None,
    ),
    "CXXABI": (
        "libstdc++.so.6: version 'CXXABI_1.3.13' not found",
        "abi",
        "choose a runtime version built for this OS release: it lacks CXXABI_1.3.13",
        None,
    ),
    "tensorflow 50514": (
        "/lib/aarch64-linux-gnu/libc.so.6: version `GLIBC_2.29' not found (required by _interpreter_wrapper.so)",
        "abi",
        "choose a runtime version built for this OS release: it lacks GLIBC_2.29",
        None,
    ),
    "a library that is not there": (
        "libatomic.so.1: cannot open shared object file: No such file or directory",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "a symbol that is not there": (
        "_pywrap_tensorflow_interpreter_wrapper.so: undefined symbol: _ZN4absl12lts_2023",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "a module that is not there": (
        "No module named 'tflite_runtime._pywrap_tensorflow_interpreter_wrapper'",
        "abi",
        "this build cannot be loaded on this OS image: choose another runtime version",
        None,
    ),
    "mediapipe 3463, which says nothing of the cause": (
        "failed to invoke XNNPACK runtimeNode number 205 (TfLiteXNNPackDelegate) failed to invoke.",
        "run",
        None,
        None,
    ),
}
