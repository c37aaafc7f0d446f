"""Takes in what never crossed the proxy: usage exports, seats, invoices. It must never add what the ledger holds already."""
