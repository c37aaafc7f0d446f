"""Ways to keep calling models while the proxy is away. It must never be imported by the product."""
