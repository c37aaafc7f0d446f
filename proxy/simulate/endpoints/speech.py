"""Speaks POST /v1/audio/speech: a recording as long as the text would take to say, whole or as events. It must never encode a voice.

Rules: 15 characters a second; streamed as events it costs the text's tokens in and 20 tokens a second out. MP3 is silence, WAV and PCM are
notes, other formats are refused.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from proxy.simulate import sound, tokens, wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, EventStyle, JsonObject, Refused

_EVENTS = EventStyle(done=False)
_CHARACTERS_PER_S = 15
_TOKENS_PER_S = 20
_MOST_CHARACTERS = 4096
_SLOWEST, _FASTEST = 0.25, 4.0
_PART_BYTES = 24_000
_DEFAULT_FORMAT = "mp3"
# format -> content type and how it is made
_FORMATS: Mapping[str, tuple[str, Callable[[str, float], bytes]]] = MappingProxyType(
    {
        "mp3": ("audio/mpeg", lambda _, seconds: sound.mp3(seconds)),
        "wav": ("audio/wav", sound.wav),
        "pcm": ("audio/pcm", sound.samples),
    }
)


def speech(ask: Ask) -> Draft:
    """The recording of one text."""
    body = ask.body
    model = sampling.model_of(body)
    text, voice = _text_of(body), _voice_of(body)
    form = body.get("response_format") or _DEFAULT_FORMAT
    if not isinstance(form, str) or form not in _FORMATS:
        raise Refused(400, f"Simulated: 'response_format' must be one of {', '.join(_FORMATS)}.", param="response_format")
    content_type, made = _FORMATS[form]
    seconds = len(text) / _CHARACTERS_PER_S / _speed_of(body)
    recording = made(wording.seed_of(model, voice, text), seconds)
    output_tokens = max(1, round(seconds * _TOKENS_PER_S))
    if body.get("stream_format") == "sse":
        events = tuple(_events(ask, recording, tokens.count(text), output_tokens))
        return Draft(events=events, style=_EVENTS, model=model, output_tokens=output_tokens)
    return Draft(plain=recording, content_type=content_type, model=model, output_tokens=output_tokens)


def _text_of(body: JsonObject) -> str:
    text = body.get("input")
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_CHARACTERS:
        raise Refused(400, f"Simulated: 'input' must be a text of 1 to {_MOST_CHARACTERS} characters.", param="input")
    return text


def _voice_of(body: JsonObject) -> str:
    voice = body.get("voice")
    if isinstance(voice, dict):
        voice = voice.get("id")
    if not isinstance(voice, str) or not voice:
        raise Refused(400, "Simulated: 'voice' must name a voice; any name is taken.", param="voice")
    return voice


def _speed_of(body: JsonObject) -> float:
    speed = body.get("speed")
    if speed is None:
        return 1.0
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not _SLOWEST <= speed <= _FASTEST:
        raise Refused(400, f"Simulated: 'speed' must be a number from {_SLOWEST} to {_FASTEST}.", param="speed")
    return float(speed)


def _events(ask: Ask, recording: bytes, input_tokens: int, output_tokens: int) -> Iterator[JsonObject]:
    for at in range(0, len(recording), _PART_BYTES):
        yield {"type": "speech.audio.delta", "audio": base64.b64encode(recording[at : at + _PART_BYTES]).decode()}
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": input_tokens + output_tokens}
    yield {"type": "speech.audio.done", **ask.usage(usage)}
