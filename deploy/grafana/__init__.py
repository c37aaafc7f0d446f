"""Makes the Grafana dashboards, in English and French, from tables of panels and phrases. It must never be imported by the product."""
