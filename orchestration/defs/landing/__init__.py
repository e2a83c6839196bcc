"""Raw tables and the gate behind them."""
