"""The proxy: nine rooms on one corridor, from the bytes that come in to the record that stays."""
