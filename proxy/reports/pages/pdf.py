"""Makes a PDF of a report's page, by WeasyPrint. It must never fetch anything."""

import hashlib
import logging
from typing import Any, Final

from proxy.errors import StartError
from proxy.reports.document import Report
from proxy.reports.pages.html import html_page

VARIANT: Final = "pdf/ua-1"
"""Tagged, for screen readers."""

_NO_LIBRARY: Final = "a report as PDF needs WeasyPrint; run: pip install 'grammage[report]'"
_NO_PANGO: Final = (
    "WeasyPrint does not find the library Pango ({error}); on Debian or Ubuntu run: "
    "apt-get install libpango-1.0-0 libpangoft2-1.0-0 fonts-dejavu-core. Or take --format html and print it from a browser."
)


def pdf_document(report: Report, code: str) -> bytes:
    """The page on A4 sheets, the same bytes for the same report. Raises StartError where what makes it is not installed."""
    try:
        from weasyprint import HTML  # an extra, slow to import, with libraries of the system
    except ModuleNotFoundError as error:
        raise StartError(_NO_LIBRARY) from error
    except OSError as error:
        raise StartError(_NO_PANGO.format(error=str(error).splitlines()[0])) from error
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # it warns of style rules that are for browsers alone
    text = html_page(report, code)
    identifier = hashlib.sha256(text.encode()).digest()[:16]
    made = HTML(string=text, url_fetcher=_refuse).write_pdf(pdf_variant=VARIANT, pdf_identifier=identifier)
    return bytes(made)


def _refuse(url: str, *_: Any, **__: Any) -> Any:
    """No page of ours names a resource; one that came in with a text is not fetched."""
    raise ValueError(f"a report fetches nothing, and {url!r} was asked for")
