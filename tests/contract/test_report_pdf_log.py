"""A PDF is made without a word in the proxy's log."""

import logging

import pytest

from proxy.reports.pages.pdf import pdf_document
from tests.report_samples import sample_report


def test_making_a_pdf_warns_of_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert pdf_document(sample_report(), "en").startswith(b"%PDF")
    assert not caplog.messages
