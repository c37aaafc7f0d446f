"""The parameters of the text form, with what was believed before the fit. It must never hold a fitted value."""

from collections.abc import Mapping

from estimators.calibration.parameter import Parameter

SAMPLE = "Of the measured rows' requests; not for production"
OLD_STACK = "vLLM 0.5.4 of 2024 over 0.11.1 of 2025; used for rows measured on the older stack only"


def _row(id: str, prior: float, prior_sd: float, unit: str, note: str) -> Parameter:
    return Parameter(id=id, prior=prior, prior_sd=prior_sd, unit=unit, note=note)


FORM: tuple[Parameter, ...] = (
    _row(
        "decode.step_fixed_j", 0.5, 1.0, "J/step", "Decode step of one H100, part that does not depend on the model: time with the power on"
    ),
    _row("decode.step_j_per_layer", 0.03, 0.7, "J/(step*layer)", "Decode step of one H100 per layer: kernels started and waited for"),
    _row("decode.step_gpu_exponent", 1.1, 0.15, "-", "Growth of the step's fixed energy with the number of GPUs"),
    _row("decode.step_moe_scale", 1.4, 0.3, "-", "Fixed step energy of a mixture of experts over that of a dense model"),
    _row("decode.step_hybrid_scale", 1.5, 0.4, "-", "Fixed step energy with state-space layers over attention alone; seen on one family"),
    _row("decode.weight_stream_j_per_gb", 0.11, 0.3, "J/GB", "Weights read once per step and shared by the batch"),
    _row("decode.routing_exponent", 0.8, 0.2, "-", "Requests choose alike: n of them touch experts like n^this independent ones"),
    _row("decode.matmul_j_per_token_per_b", 0.003, 0.4, "J/(token*1e9 params)", "Matrix products, 16-bit"),
    _row("decode.activation_j_per_token_per_m", 0.15, 0.8, "J/(token*1e6 values)", "Values passed between layers: layers * hidden size"),
    _row("decode.activation_scale_per_expert", 0.25, 0.8, "1/expert", "More of it for each expert that a token is sent to"),
    _row("decode.sequence_j_per_token", 0.003, 1.0, "J/token", "Handling of one sequence in one step, per GPU: sampling, scheduling"),
    _row("decode.exchange_j_per_token_per_m", 0.01, 1.0, "J/(token*1e6 values*GPU)", "Exchange between GPUs, per further GPU"),
    _row("decode.batch_efficiency_exponent", 0.05, 0.8, "-", "Work per token falls as (1 + batch / knee)^-this"),
    _row("decode.attention_j_per_gb", 0.15, 0.5, "J/GB", "Cached keys and values read for each output token"),
    _row(
        "prefill.j_per_token_per_b",
        0.0025,
        0.3,
        "J/(token*1e9 params)",
        "One fresh input token; prior from TokenPowerBench (0.0024, GH200) and roofline (0.0028)",
    ),
    _row("prefill.moe_scale", 1.5, 0.3, "-", "Prefill of a mixture of experts over a dense model of the same active size"),
    _row("vision.encoder_j_per_k_tokens", 10.0, 0.8, "J/(1000 tokens)", "Vision encoder per image token, at 10e9 active parameters"),
    _row("vision.encoder_size_exponent", 0.5, 0.3, "-", "Growth of the encoder's energy with the active parameters"),
    _row("gpu.b200.static_scale", 1.5, 0.2, "-", "Fixed step energy relative to H100"),
    _row("gpu.b200.dynamic_scale", 0.85, 0.15, "-", "Energy of work relative to H100"),
    _row("gpu.b200.attention_scale", 1.0, 0.3, "-", "Energy of attention relative to H100"),
    _row("gpu.a100.static_scale", 0.7, 0.3, "-", "Fixed step energy relative to H100; measured on the 40 GB card"),
    _row("gpu.a100.dynamic_scale", 1.05, 0.2, "-", "Energy of work, attention too, relative to H100; measured on the 40 GB card"),
    _row("precision.fp8.step_scale", 1.5, 0.4, "-", "Fixed step energy of 8-bit weights; two families"),
    _row("precision.fp8.stream_scale", 1.3, 0.4, "-", "Energy per byte of 8-bit weights over 16-bit; two families"),
    _row("precision.fp8.matmul_scale", 0.75, 0.2, "-", "Matrix products with 8-bit weights over 16-bit"),
    _row("stack.2024.static_scale", 1.6, 0.3, "-", OLD_STACK),
    _row("stack.2024.dynamic_scale", 1.1, 0.2, "-", OLD_STACK),
)

INPUT_TOKENS: Mapping[str, float] = {
    "lm-arena-chat": 120.0,
    "gpqa": 300.0,
    "sourcegraph-fim": 2000.0,
    "sharegpt-chat": 200.0,
    "evalplus-code": 200.0,
    "image-chat": 200.0,
    "video-chat": 200.0,
    "image-chat-v2": 100.0,
}
"""Prior medians of the text tokens of a prompt by task: the measured tables do not state them."""

INPUT_TOKENS_PRIOR_SD = 0.7


def input_tokens_row(task: str) -> str:
    """The parameter of a task's prompt length."""
    return f"sample.input_tokens.{task}"


MEDIA_TOKENS: tuple[Parameter, ...] = (
    _row("sample.image_tokens", 1000.0, 0.4, "tokens", SAMPLE + "; where the model does not fix them"),
    _row("sample.video_tokens", 1000.0, 0.6, "tokens", SAMPLE),
)

PARAMETERS: tuple[Parameter, ...] = (
    *FORM,
    *MEDIA_TOKENS,
    *(_row(input_tokens_row(task), prior, INPUT_TOKENS_PRIOR_SD, "tokens", SAMPLE) for task, prior in INPUT_TOKENS.items()),
)
