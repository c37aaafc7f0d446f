"""What the proxy itself weighs: sampled, modelled or measured, kept beside the calls. It must never be part of a call's figures."""
