"""Describes the report as OpenAPI 3.1, from the document itself. It must never promise a part that the document lacks."""

from typing import Any, Final

from pydantic import TypeAdapter

from proxy.reports.as_json import OBJECT
from proxy.reports.document import Report
from proxy.reports.pages.forms import FORMS
from proxy.web.report import PATH
from proxy.web.report_form import KNOWN

Schema = dict[str, Any]
TEXT: Final[Schema] = {"type": "string"}
BYTES: Final[Schema] = {"type": "string", "format": "binary"}
WORDS: Final[Schema] = {"format": {"type": "string", "enum": list(KNOWN)}, "lang": {"type": "string", "enum": ["en", "fr"]}}
MOMENT: Final = "a year (2026), month (2026-11), day (2026-11-01) or instant, by the clock of `time_zone`"
PARAMETERS: Final = {
    "since": f"From when on: {MOMENT}; left out: from the first call on. A year or month without `until` is all of it.",
    "until": f"Until the end of {MOMENT}; left out: until the last call.",
    "compare_to": f"The period to explain the change from: {MOMENT}; left out: the one before, of equal length.",
    "time_zone": "The clock of days and months, such as Europe/Paris; left out: UTC.",
    "by": "Further tags to group by, separated by commas.",
    "team": "The tag that names teams; left out: tool.",
    "basis": "`yearly` factors, or a declared basis: `ademe-annual`.",
    "set": "A named set of estimates; left out: those made with the calls.",
    "equivalences": "`false` leaves everyday equivalents out.",
    "lang": "`en` or `fr`: the language of the page, the sheets and the document.",
    "format": f"{', '.join(KNOWN)}; left out: by the header `Accept`, else json.",
    "tag.NAME": "Calls alone whose tag NAME has this value, such as tag.campaign=noel-26; may be repeated.",
}


def report_schemas() -> Schema:
    """The document's schema and those it refers to. A sum is mean, low and high; a line is named by its group."""
    schema = TypeAdapter(Report).json_schema(ref_template="#/components/schemas/Report{model}", mode="serialization")
    parts = schema.pop("$defs")
    number = {"type": "number"}
    parts["Spread"] = {"type": "object", "required": ["mean", "low", "high"], "properties": dict.fromkeys(("mean", "low", "high"), number)}
    line = parts["Line"]
    line["properties"] = {"group": line["properties"].pop("key"), **line["properties"]}
    line["required"] = ["group", *(name for name in line["required"] if name != "key")]
    schema["properties"] = {"object": {"const": OBJECT}, "lang": TEXT, **schema["properties"]}
    return {"Report": schema, **{f"Report{name}": part for name, part in parts.items()}}


def report_paths() -> Schema:
    """The path."""
    error = {"description": "Error.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    files = {
        form.media_type.partition(";")[0]: {"schema": TEXT if form.media_type.startswith("text/") else BYTES} for form in FORMS.values()
    }
    answer = {"description": "Answer.", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Report"}}, **files}}
    described = [{"name": name, "in": "query", "schema": WORDS.get(name, TEXT), "description": text} for name, text in PARAMETERS.items()]
    return {
        PATH: {
            "get": {
                "summary": "What the calls of a period came to, for admins, and viewers of their brands",
                "parameters": described,
                "responses": {"200": answer, **dict.fromkeys(("400", "401", "403", "409", "501", "503"), error)},
            }
        }
    }
