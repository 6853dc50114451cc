"""The local cloud's API server: the wire protocol, signatures, validation, and the operations behind them."""
