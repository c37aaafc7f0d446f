"""Holds what runs beside the proxy: rules for Prometheus, dashboards for Grafana. It must never be imported by the product."""
