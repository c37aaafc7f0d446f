"""Words the requests for variants of one ad visual: one product, other scenes and lights. It must never draw one."""

from proxy.campaign.products import Product

SCENES = (
    "on a wet rock beside a mountain stream",
    "on a plain studio ground, seen from the side",
    "on a kitchen table in the morning",
    "in the hands of someone who is about to leave",
    "in a shop window at street level",
)
LIGHTS = ("soft daylight", "low evening sun", "hard flash with deep shadows", "fog, almost no colour")
MOST_VARIANTS = len(SCENES) * len(LIGHTS)


def visual_prompt(product: Product, variant: int) -> str:
    """The request for one variant, from 0; each of the first 20 differs."""
    scene = SCENES[variant % len(SCENES)]
    light = LIGHTS[variant // len(SCENES) % len(LIGHTS)]
    return (
        f"Ad visual for {product.name}, a {product.kinds['en']}: {scene}, {light}. Room for a headline on the left. No text in the picture."
    )
