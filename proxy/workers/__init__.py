"""Keeps several workers serving one address: begins them, begins dead ones anew, hands them settings. It must never serve a call itself."""
