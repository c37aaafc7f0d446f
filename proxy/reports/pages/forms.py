"""Names the forms that a report is handed over in, and writes one. It must never import the library of another form."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from proxy.reports.document import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One form: what makes it of a report and a language (`en` or `fr`). Each raises StartError where its library is missing."""

    media_type: str
    extension: str
    make: Callable[[Report, str], bytes]


def _html(report: Report, code: str) -> bytes:
    from proxy.reports.pages.html import html_page  # Jinja2, and not for a start

    return html_page(report, code).encode()


def _pdf(report: Report, code: str) -> bytes:
    from proxy.reports.pages.pdf import pdf_document  # as above

    return pdf_document(report, code)


def _xlsx(report: Report, code: str) -> bytes:
    from proxy.reports.pages.xlsx import xlsx_report  # an extra

    return xlsx_report(report, code)


def _csv(report: Report, code: str) -> bytes:
    from proxy.reports.pages.plain import csv_report  # Babel, and not for a start
    from proxy.reports.pages.write import write

    return csv_report(write(report, code)).encode()


def _parquet(report: Report, code: str) -> bytes:
    from proxy.reports.pages.parquet import parquet_report  # an extra

    return parquet_report(report)


FORMS: Final[Mapping[str, Form]] = {
    "html": Form(media_type="text/html; charset=utf-8", extension="html", make=_html),
    "pdf": Form(media_type="application/pdf", extension="pdf", make=_pdf),
    "xlsx": Form(media_type="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", extension="xlsx", make=_xlsx),
    "csv": Form(media_type="text/csv; charset=utf-8; header=present", extension="csv", make=_csv),
    "parquet": Form(media_type="application/vnd.apache.parquet", extension="parquet", make=_parquet),
}
"""Each form by the name that people ask for it with."""
