"""One row of POST /v1/impact as Scope3's API takes it, and what it says of a call. It must never read a name twice in two ways."""

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from estimators.usage import Media, Usage
from proxy.web.refusal import first_fault

MOST_TOKENS = 100_000_000
MOST_SECONDS = 100_000.0
MOST_IMAGES = 100

Text = Annotated[str, StringConstraints(max_length=256)]
Code = Annotated[str, StringConstraints(pattern="^[A-Z]{2}$")]
Size = Annotated[str, StringConstraints(pattern=r"^[1-9]\d{0,3}x[1-9]\d{0,3}$")]
Tokens = Annotated[int, Field(ge=0, le=MOST_TOKENS)]
Seconds = Annotated[float, Field(ge=0, le=MOST_SECONDS)]

WRITES, READS, DRAWS, FILMS, SPEAKS, HEARS = "chat", "embeddings", "images", "video", "speech", "transcription"
"""Operations of ours that a row may stand for."""

OPERATION_OF_TASK: dict[str, str] = {
    **dict.fromkeys(
        (
            "text-generation",
            "chat",
            "text-classification",
            "sentiment-analysis",
            "named-entity-recognition",
            "question-answering",
            "summarization",
            "image-to-text",
            "visual-question-answering",
            "multimodal-generation",
        ),
        WRITES,
    ),
    **dict.fromkeys(("text-embedding", "multimodal-embedding"), READS),
    **dict.fromkeys(("image-generation", "text-to-image", "style-transfer"), DRAWS),
    **dict.fromkeys(("text-to-speech",), SPEAKS),
    **dict.fromkeys(("speech-to-text",), HEARS),
}
"""Tasks of the shape that we can weigh; `translation` is told by its input. The other tasks are refused, row by row."""

OTHER_TASKS = (
    "image-classification",
    "object-detection",
    "image-segmentation",
    "face-detection",
    "facial-recognition",
    "speaker-identification",
    "audio-classification",
    "music-generation",
    "recommendation-system",
    "reinforcement-learning",
    "anomaly-detection",
    "time-series-forecasting",
    "clustering",
)
TRANSLATION = "translation"


class RowFault(Exception):
    """A row that cannot be weighed: a stable code, the field at fault, and why."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class ImpactRow(BaseModel):
    """One call. Of the fields that only describe it (ids, times, cost), nothing is used or kept."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())

    model_id: Text | None = Field(default=None, description="Model requested: an alias of this proxy or any model name.")
    model_used_id: Text | None = Field(default=None, description="Model that answered, if the provider told.")
    model_family: Text | None = None
    model_name: Text | None = None
    model_hugging_face_path: Text | None = None
    managed_service_id: Text | None = Field(default=None, description="Who serves it, such as openai or aws-bedrock.")
    cloud_id: Text | None = Field(default=None, description="Cloud, such as aws.")
    cloud_region: Text | None = Field(default=None, description="Cloud region, such as us-central1.")
    cloud_instance_id: Text | None = None
    node_id: Text | None = None
    country: Code | None = Field(default=None, description="ISO 3166-1 alpha-2; used when the cloud region is not known.")
    region: Code | None = None
    task: Text | None = None
    input_tokens: Tokens | None = Field(default=None, description="Input tokens, cached, image and audio ones included.")
    output_tokens: Tokens | None = Field(default=None, description="Output tokens, reasoning included.")
    output_audio_tokens: Tokens | None = None
    input_images: Annotated[list[Size], Field(max_length=MOST_IMAGES)] | None = None
    output_images: Annotated[list[Size], Field(max_length=MOST_IMAGES)] | None = None
    input_steps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    input_audio_seconds: Seconds | None = None
    output_audio_seconds: Seconds | None = None
    output_video_frames: Tokens | None = None
    output_video_resolution: Annotated[int, Field(ge=1, le=10_000)] | None = Field(default=None, description="Lines, such as 1080.")
    utc_datetime: Text | None = Field(default=None, description="Not used: intensities are yearly averages.")
    request_duration_ms: float | None = None
    processing_duration_ms: float | None = None
    request_cost: float | None = None
    currency: Text | None = None
    integration_source: Text | None = None
    environment: Text | None = None
    session_id: Text | None = None
    trace_id: Text | None = None
    request_id: Text | None = None
    client_id: Text | None = None
    project_id: Text | None = None
    application_id: Text | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that the row gives the model, the most telling first."""
        known = (self.model_used_id, self.model_id, self.model_hugging_face_path, self.model_name, self.model_family)
        return tuple(name for name in known if name)


class Parts(NamedTuple):
    """What a row consumed: the operation, and one usage for each picture size."""

    operation: str
    usages: tuple[Usage, ...]


def read_row(row: Any) -> ImpactRow:
    """The row as it stands in the request. Raises RowFault naming the field."""
    try:
        return ImpactRow.model_validate(row)
    except ValidationError as error:
        fault = first_fault(error)
        raise RowFault(
            "invalid_row", f"{fault.field or 'the row'} is not right: {fault.message}; see /openapi.json.", fault.field
        ) from None


def parts_of(row: ImpactRow, only_reads: bool) -> Parts:
    """What to weigh. only_reads: the model makes embeddings alone. Raises RowFault when the row counts nothing or names another task."""
    operation = _operation(row, only_reads)
    counted = (row.input_tokens, row.output_tokens, row.output_audio_tokens, row.input_audio_seconds, row.output_audio_seconds)
    if not (any(counted) or row.output_images or row.output_video_frames):
        raise RowFault(
            "nothing_to_weigh",
            "the row counts nothing: add input_tokens and output_tokens, output_images, audio seconds or output_video_frames.",
            "input_tokens",
        )
    media = _media(row)
    first = Usage(
        input_tokens=row.input_tokens or 0,
        output_tokens=max(row.output_tokens or 0, row.output_audio_tokens or 0),
        audio_output_tokens=row.output_audio_tokens or 0,
        input_images=len(row.input_images or ()),
        media=media[0] if media else None,
    )
    return Parts(operation, (first, *(Usage(media=other) for other in media[1:])))


def _operation(row: ImpactRow, only_reads: bool) -> str:
    if row.task == TRANSLATION:
        return HEARS if row.input_audio_seconds and row.input_tokens is None else WRITES
    if row.task is None:
        return _told_by_counts(row, only_reads)
    found = OPERATION_OF_TASK.get(row.task)
    if found is None:
        known = ", ".join((*OPERATION_OF_TASK, TRANSLATION))
        what = "cannot be weighed yet" if row.task in OTHER_TASKS else "does not exist"
        raise RowFault("task_not_covered", f"task {row.task[:64]!r} {what}; those that can be: {known}.", "task")
    return found


def _told_by_counts(row: ImpactRow, only_reads: bool) -> str:
    """The operation of a row that names no task."""
    if row.output_video_frames:
        return FILMS
    if row.output_images:
        return DRAWS
    if row.output_audio_seconds and not row.output_tokens:
        return SPEAKS
    if row.input_audio_seconds and not row.input_tokens:
        return HEARS
    return READS if only_reads else WRITES


def _media(row: ImpactRow) -> list[Media]:
    """What the row made or heard beyond tokens: one entry for each picture size; audio and video belong to the first."""
    sizes = Counter(row.output_images or ())
    made = [_pictures(size, count, row.input_steps) for size, count in sizes.items()]
    if row.output_video_frames:
        made = [*made, Media(clips=1, frames=row.output_video_frames, height=row.output_video_resolution, steps=row.input_steps)]
    if row.input_audio_seconds or row.output_audio_seconds:
        first = made[0] if made else Media()
        heard = replace(first, audio_input_seconds=row.input_audio_seconds, audio_output_seconds=row.output_audio_seconds)
        made = [heard, *made[1:]]
    return made


def _pictures(size: str, count: int, steps: int | None) -> Media:
    width, height = (int(pixels) for pixels in size.split("x"))
    return Media(images=count, width=width, height=height, steps=steps)
