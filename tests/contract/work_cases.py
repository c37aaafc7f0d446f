"""Exchanges with the endpoints for clips, decisions and compaction, as their provider writes them. It must never use our own reader."""

from typing import Any

from tests.contract.case import Case, compact

USAGE = {
    "input_tokens": 420,
    "input_tokens_details": {"cached_tokens": 128},
    "output_tokens": 36,
    "output_tokens_details": {"reasoning_tokens": 12},
    "total_tokens": 456,
}
COUNTED = {
    "input_tokens": 420,
    "cached_input_tokens": 128,
    "output_tokens": 36,
    "reasoning_output_tokens": 12,
    "usage_source": "provider",
}
COMPACT = Case(
    path="/v1/responses/compact",
    operation="responses",
    ask={"model": "gpt-5-mini", "input": [{"role": "user", "content": "Describe a merino jumper."}]},
    answer=compact(
        {
            "id": "resp_c1",
            "object": "response.compaction",
            "created_at": 1,
            "output": [{"id": "cmp_1", "type": "compaction", "encrypted_content": "Z3JhbQ=="}],
            "usage": USAGE,
        }
    ),
    recorded=COUNTED,
)
DECISIONS = Case(
    path="/v1/decisions",
    operation="decisions",
    ask={
        "model": "gpt-5-mini",
        "input": "A merino jumper for children.",
        "questions": [{"id": "q1", "question": "Is it warm?", "choices": ["yes", "no"]}],
    },
    answer=compact(
        {
            "id": "dec_1",
            "object": "decision",
            "created_at": 1,
            "model": "gpt-5-mini-2025-08-07",
            "decisions": [{"id": "q1", "choice": "yes", "score": 0.91}],
            "usage": USAGE,
        }
    ),
    recorded=COUNTED,
)


def clip(**changes: Any) -> dict[str, Any]:
    """A video object in the provider's order."""
    return {
        "id": "video_1",
        "object": "video",
        "created_at": 1,
        "status": "queued",
        "model": "sora-2",
        "progress": 0,
        "seconds": "8",
        "size": "1280x720",
        **changes,
    }


FILMED = {"media_clips": 1, "media_video_seconds": 8.0, "media_width": 1280, "media_height": 720, "output_tokens": 0}
VIDEOS = Case(
    path="/v1/videos",
    operation="videos",
    ask={"model": "sora-2", "prompt": "A merino jumper in the wind", "seconds": "8", "size": "1280x720"},
    files=(("input_reference", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),),
    answer=compact(clip()),
    recorded={**FILMED, "input_images": 1, "upstream_object_id": "video_1"},
    tagged=False,
)
VIDEO_EDITS = Case(
    path="/v1/videos/edits",
    operation="videos",
    ask={"prompt": "The jumper in red", "video": {"id": "video_0"}},
    answer=compact(clip(id="video_2")),
    recorded={**FILMED, "model": "sora-2", "upstream_object_id": "video_2"},
    tagged=False,
)
VIDEO_EXTENSIONS = Case(
    path="/v1/videos/extensions",
    operation="videos",
    ask={"prompt": "The wind drops", "seconds": "4", "video": {"id": "video_0"}},
    answer=compact(clip(id="video_3", seconds="12")),
    recorded={**FILMED, "media_video_seconds": 4.0, "model": "sora-2", "upstream_object_id": "video_3"},
    tagged=False,
)
WORK = (COMPACT, DECISIONS, VIDEOS, VIDEO_EDITS, VIDEO_EXTENSIONS)
