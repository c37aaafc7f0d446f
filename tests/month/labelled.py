"""A labelled set of made-up calls as an owner would write it: `python -m tests.month.labelled` writes the example's."""

from tests.month.arms import EXAMPLE
from tests.month.world import KINDS, MARKETS, MODELS, STAGES, Month, month_of

ROWS, SEED = 400, 12
FILE = EXAMPLE.with_suffix(".labelled.csv")
NOTES = (
    "# Made up, for trying things out: nobody wrote or scored these answers. See by-kind-and-region.yaml.",
    "# A row is a call: what it asks, and for each model the score that its answer got and the tokens that it had.",
)


def labelled_csv(month: Month) -> str:
    """The calls of `month`, scored."""
    head = ["alias", "tag.tool", "tag.stage", "tag.market", "input_tokens"]
    head += [f"{model}.{what}" for model in MODELS for what in ("score", "output_tokens")]
    lines = [*NOTES, ",".join(head)]
    for i in range(len(month)):
        cells = [MODELS[0], KINDS[month.kind[i]].name, STAGES[month.stage[i]], MARKETS[month.market[i]], str(month.input_tokens[i])]
        for at in range(len(MODELS)):
            cells += [f"{month.score[i, at]:.3f}", str(month.output_tokens[i, at])]
        lines.append(",".join(cells))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the example's file."""
    FILE.write_text(labelled_csv(month_of(ROWS, SEED)), encoding="utf-8")


if __name__ == "__main__":
    main()
