"""Words what a recording is made to say, in segments with times, and writes it as subtitles. It must never listen.

Two and a half words a second, in sentences; the same recording and language give the same words.
"""

from dataclasses import dataclass

from proxy.simulate import wording

_WORDS_PER_S = 2.5
_LONGEST_S = 6 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One sentence and when it is said, in seconds from the start."""

    start_s: float
    end_s: float
    text: str

    @property
    def words(self) -> list[tuple[str, float, float]]:
        """Each word with its start and end."""
        said = self.text.split()
        step = (self.end_s - self.start_s) / max(1, len(said))
        return [(word, self.start_s + at * step, self.start_s + (at + 1) * step) for at, word in enumerate(said)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """All that is said in a recording."""

    seconds: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The words alone."""
        return " ".join(segment.text for segment in self.segments)

    def srt(self) -> str:
        """As SubRip subtitles."""
        parts = (
            f"{number}\n{_clock(part.start_s, ',')} --> {_clock(part.end_s, ',')}\n{part.text}\n\n"
            for number, part in enumerate(self.segments, start=1)
        )
        return "".join(parts)

    def vtt(self) -> str:
        """As WebVTT subtitles."""
        parts = (f"{_clock(part.start_s, '.')} --> {_clock(part.end_s, '.')}\n{part.text}\n\n" for part in self.segments)
        return "WEBVTT\n\n" + "".join(parts)


def transcript_of(seed: str, seconds: float, language: str) -> Transcript:
    """What a recording of that length says: at least one word."""
    wanted = max(1, round(min(seconds, _LONGEST_S) * _WORDS_PER_S))
    sentences = wording.sentences(language, seed, wanted)
    total = sum(len(sentence.split()) for sentence in sentences)
    segments, said = [], 0
    for sentence in sentences:
        words = len(sentence.split())
        segments.append(Segment(start_s=said * seconds / total, end_s=(said + words) * seconds / total, text=sentence))
        said += words
    return Transcript(seconds=seconds, segments=tuple(segments))


def _clock(seconds: float, point: str) -> str:
    whole_ms = round(seconds * 1000)
    minutes, ms = divmod(whole_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{ms // 1000:02}{point}{ms % 1000:03}"
