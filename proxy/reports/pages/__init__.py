"""A report for people: as a page, a document, a workbook or a text, in English and French. It must never compute a figure of the ledger."""
