"""What a planned campaign weighs, compared and explained. It must never print, nor call a difference anything but modelled."""
