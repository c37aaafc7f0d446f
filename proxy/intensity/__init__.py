"""Live carbon intensity of grids, asked in the background. It must never make a call wait, nor replace the yearly figures."""
