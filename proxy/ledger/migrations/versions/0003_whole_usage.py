"""Attempts keep the whole usage: image tokens written, media, metered energy. A released revision must never change."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No row is rewritten: a null column without a default is a note in the table's description. Older rows stay unknown there."""
    for column in _columns():
        op.add_column("attempts", column)


def _columns() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("image_output_tokens", sa.BigInteger()),
        sa.Column("media_images", sa.BigInteger()),
        sa.Column("media_width", sa.BigInteger()),
        sa.Column("media_height", sa.BigInteger()),
        sa.Column("media_quality", sa.Text()),
        sa.Column("media_steps", sa.BigInteger()),
        sa.Column("media_clips", sa.BigInteger()),
        sa.Column("media_video_seconds", sa.Double()),
        sa.Column("media_frames", sa.BigInteger()),
        sa.Column("media_fps", sa.Double()),
        sa.Column("media_audio_input_seconds", sa.Double()),
        sa.Column("media_audio_output_seconds", sa.Double()),
        sa.Column("media_characters", sa.BigInteger()),
        sa.Column("metered_energy_wh", sa.Double()),
        sa.Column("metered_boundary", sa.Text()),
        sa.Column("metered_source", sa.Text()),
        sa.Column("metered_shared", sa.Boolean()),
    )
