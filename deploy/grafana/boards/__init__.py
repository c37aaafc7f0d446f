"""Names the dashboards in the order in which they are read. It must never describe a panel."""

from deploy.grafana.boards.campaigns import CAMPAIGNS
from deploy.grafana.boards.footprint import FOOTPRINT_BOARD
from deploy.grafana.boards.grid import GRID
from deploy.grafana.boards.models import MODELS
from deploy.grafana.boards.operations import OPERATIONS
from deploy.grafana.boards.quality import QUALITY

BOARDS = (FOOTPRINT_BOARD, CAMPAIGNS, MODELS, GRID, OPERATIONS, QUALITY)
