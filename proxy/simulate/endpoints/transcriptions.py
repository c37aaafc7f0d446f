"""Speaks POST /v1/audio/transcriptions and translations, in every format and streamed. It must never listen to a recording.

Two kinds of models, as at the provider: those that report tokens (10 a second of sound in) write json or text and stream; the others report
seconds, write subtitles too and take no notice of `stream`.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from proxy.simulate import tokens, wording
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, Draft, EventStyle, JsonObject, Refused, as_list
from proxy.simulate.sniff import seconds_of
from proxy.simulate.transcript import Segment, Transcript, transcript_of

_PLAIN = "text/plain; charset=utf-8"
_REPORTS_TOKENS = ("gpt-", "sim-transcribe-tokens")
_AUDIO_TOKENS_PER_S = 10
_LANGUAGES: Mapping[str, str] = MappingProxyType({"en": "english", "fr": "french", "de": "german"})
_SUBTITLES: Mapping[str, Callable[[Transcript], str]] = MappingProxyType(
    {"text": lambda said: said.text + "\n", "srt": Transcript.srt, "vtt": Transcript.vtt}
)
_FORMATS = ("json", "verbose_json", *_SUBTITLES)
_TOKEN_FORMATS = ("json", "text")


def transcriptions(ask: Ask) -> Draft:
    """What is said in a recording."""
    body = ask.body
    model = sampling.model_of(body)
    language = body.get("language") if body.get("language") in _LANGUAGES else "en"
    said = _said(ask, model, str(language))
    by_tokens = model.startswith(_REPORTS_TOKENS)
    form = _form_of(body, _TOKEN_FORMATS if by_tokens else _FORMATS)
    usage = _token_usage(body, said) if by_tokens else {"type": "duration", "seconds": math.ceil(said.seconds)}
    output_tokens = tokens.count(said.text)
    if by_tokens and body.get("stream") is True:
        return Draft(events=tuple(_events(ask, said, usage)), style=EventStyle(), model=model, output_tokens=output_tokens)
    if form in _SUBTITLES:
        return Draft(plain=_SUBTITLES[form](said).encode(), content_type=_PLAIN, model=model, output_tokens=output_tokens)
    document = {"text": said.text} if form == "json" else _verbose(said, "transcribe", str(language), as_list(_granularities(body)))
    return Draft(document={**document, **ask.usage(usage)}, model=model, output_tokens=output_tokens)


def translations(ask: Ask) -> Draft:
    """What is said in a recording, in English. No format reports usage."""
    model = sampling.model_of(ask.body)
    said = _said(ask, model, "en")
    form = _form_of(ask.body, _FORMATS)
    output_tokens = tokens.count(said.text)
    if form in _SUBTITLES:
        return Draft(plain=_SUBTITLES[form](said).encode(), content_type=_PLAIN, model=model, output_tokens=output_tokens)
    document = {"text": said.text} if form == "json" else _verbose(said, "translate", "en", ["segment"])
    return Draft(document=document, model=model, output_tokens=output_tokens)


def _said(ask: Ask, model: str, language: str) -> Transcript:
    files = ask.files.get("file", ())
    if len(files) != 1 or not files[0].content:
        raise Refused(400, "Simulated: send one recording, not empty, as the field 'file'.", param="file")
    recording = files[0].content
    seed = wording.seed_of(model, hashlib.sha256(recording).hexdigest(), language)
    return transcript_of(seed, seconds_of(recording), language)


def _form_of(body: JsonObject, known: tuple[str, ...]) -> str:
    form = body.get("response_format") or "json"
    if not isinstance(form, str) or form not in known:
        message = f"Simulated: 'response_format' must be one of {', '.join(known)} for this model."
        raise Refused(400, message, code="unsupported_value", param="response_format")
    return form


def _granularities(body: JsonObject) -> object:
    return body.get("timestamp_granularities", ["segment"])


def _token_usage(body: JsonObject, said: Transcript) -> JsonObject:
    prompt = body.get("prompt")
    text = tokens.count(prompt) if isinstance(prompt, str) else 0
    audio = math.ceil(said.seconds * _AUDIO_TOKENS_PER_S)
    output = tokens.count(said.text)
    return {
        "type": "tokens",
        "input_tokens": audio + text,
        "input_token_details": {"audio_tokens": audio, "text_tokens": text},
        "output_tokens": output,
        "total_tokens": audio + text + output,
    }


def _events(ask: Ask, said: Transcript, usage: JsonObject) -> Iterator[JsonObject]:
    for piece in tokens.pieces(said.text):
        yield {"type": "transcript.text.delta", "delta": piece}
    yield {"type": "transcript.text.done", "text": said.text, **ask.usage(usage)}


def _verbose(said: Transcript, task: str, language: str, granularities: list[object]) -> JsonObject:
    document: JsonObject = {"task": task, "language": _LANGUAGES[language], "duration": round(said.seconds, 2), "text": said.text}
    if "word" in granularities:
        timed = [word for segment in said.segments for word in segment.words]
        document["words"] = [{"word": word, "start": round(start, 2), "end": round(end, 2)} for word, start, end in timed]
    if "segment" in granularities:
        document["segments"] = [_segment(number, segment) for number, segment in enumerate(said.segments)]
    return document


def _segment(number: int, segment: Segment) -> JsonObject:
    return {
        "id": number,
        "seek": 0,
        "start": round(segment.start_s, 2),
        "end": round(segment.end_s, 2),
        "text": " " + segment.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": -0.2,
        "compression_ratio": 1.3,
        "no_speech_prob": 0.01,
    }
