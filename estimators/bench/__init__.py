"""The open bench: judges any estimator on measured rows that it sees without their energy. It must never show a hidden column."""
